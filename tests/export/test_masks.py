"""Masks as files that other tools read."""

import json

import numpy as np
import pytest
import torch
from builders.labeled_scene import labeled_scene
from builders.progress import Recorder
from PIL import Image
from pycocotools.coco import COCO

from splatseg.capture import Frame, load_capture
from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.export.masks import (
    ViewMasks,
    object_masks,
    path_masks,
    selection_masks,
    write_binary_masks,
    write_coco,
    write_label_maps,
    write_sa1b,
)
from splatseg.masks import Segments, read_label_map, read_mask, read_segments, rle
from splatseg.segmentation import Picker, PointPrompt

NAMES = {1: "red ball", 2: "green ball", 700: "blue ball"}


@pytest.fixture(scope="module")
def frames(synthetic) -> tuple[Frame, ...]:
    return load_capture(synthetic.root).frames[:3]


@pytest.fixture
def views(true_scene, frames) -> list[ViewMasks]:
    """Of ids that do not follow each other, one above what 8 bits hold, and a floater."""
    labels = torch.tensor([0, 1, 2, 700])[true_scene[1]]
    labels[-1] = -1
    return list(object_masks(true_scene[0], labels, frames))


def overlapping() -> ViewMasks:
    """A large mask and, of a larger id, a small one within it."""
    masks = np.zeros((2, 6, 8), dtype=bool)
    masks[0, 1:5, 1:7] = True
    masks[1, 2:4, 2:4] = True
    return ViewMasks("cam0/a", "images/cam0/a.jpg", (3, 9), Segments.from_masks(masks))


def test_objects_are_where_the_truth_has_them(synthetic, views):
    for view in views:
        truth = synthetic.truth[view.name]
        shown = view.label_map()
        for instance, ball in ((1, 1), (2, 2), (700, 3)):
            assert iou(shown == instance, truth == ball) > 0.9


def test_coco_opens_and_holds_the_masks(tmp_path, views):
    write_coco(tmp_path / "coco.json", iter(views), NAMES)
    coco = COCO(str(tmp_path / "coco.json"))
    assert len(coco.getAnnIds()) == sum(len(view.ids) for view in views)
    assert [row["name"] for row in coco.loadCats(coco.getCatIds())] == list(NAMES.values())
    for image, view in zip(coco.loadImgs(coco.getImgIds()), views, strict=True):
        assert image["file_name"] == view.photo
        assert (image["height"], image["width"]) == view.label_map().shape
        for row in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            height, width = coco.annToRLE(row)["size"]
            mask = rle.decode(coco.annToRLE(row)["counts"].encode(), height, width)
            assert (mask == (view.label_map() == row["category_id"])).all()
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            assert row["bbox"] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
            assert row["area"] == mask.sum()


def test_coco_needs_names_and_keeps_those_that_no_view_shows(tmp_path, views):
    path = tmp_path / "coco.json"
    with pytest.raises(SplatsegError, match=r"the id 1, which has no name; expected one of 2"):
        write_coco(path, views, {2: "ball"})
    assert not path.exists()
    write_coco(path, [], {5: "cup"})
    categories = [{"id": 5, "name": "cup"}]
    expected = {"images": [], "annotations": [], "categories": categories}
    assert json.loads(path.read_text()) == expected


def test_sa1b_reads_back_as_equal_segments(tmp_path, views):
    write_sa1b(tmp_path / "sa1b", [*views, overlapping()])
    for view in [*views, overlapping()]:
        path = tmp_path / "sa1b" / f"{view.name}.json"
        segments = read_segments(path)
        assert segments.rles == view.segments.rles
        assert (segments.height, segments.width) == (view.segments.height, view.segments.width)
        assert json.loads(path.read_text())["splatseg"]["ids"] == list(view.ids)


def test_label_maps_hold_the_ids_in_the_depth_that_they_need(tmp_path, views: list[ViewMasks]):
    write_label_maps(tmp_path / "labels", [*views, overlapping()])
    for view in views:
        read = read_label_map(tmp_path / "labels" / f"{view.name}.png")
        assert read.dtype == np.uint16
        assert (read == view.label_map()).all()
    nested = read_label_map(tmp_path / "labels" / "cam0" / "a.png")
    assert nested.dtype == np.uint8
    assert np.unique(nested, return_counts=True)[1].tolist() == [24, 20, 4]


def test_binary_masks_are_there_for_every_view_and_id(tmp_path):
    write_binary_masks(tmp_path / "masks", [overlapping()], [3, 9, 10])
    for thing, area in ((3, 24), (9, 4), (10, 0)):
        path = tmp_path / "masks" / str(thing) / "cam0" / "a.png"
        assert read_mask(path, 127).sum() == area
        with Image.open(path) as image:
            assert image.mode == "L"


@pytest.mark.parametrize("write", [write_sa1b, write_label_maps])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path, write):
    def failing():
        yield overlapping()
        raise SplatsegError("no more")

    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "before.png").touch()
    with pytest.raises(SplatsegError, match="no more"):
        write(tmp_path / "masks", failing())
    assert [path.name for path in tmp_path.rglob("*")] == ["masks", "before.png"]


def test_selections_are_masked_as_the_picker_does(synthetic):
    scene = labeled_scene(synthetic)
    picker, (first, second) = Picker(scene), scene.frames[:2]
    chosen = [
        picker.pick([PointPrompt(first.name, *map(float, synthetic.click(ball, first.name)))])
        for ball in (1, 2)
    ]
    progress = Recorder()
    shown = list(selection_masks(picker, chosen, [second.name, first.name], progress))
    assert [view.photo for view in shown] == [second.photo, first.photo]
    assert progress.updates == [("masks", 1, 2), ("masks", 2, 2)]
    for view in shown:
        for instance, selection in enumerate(chosen, start=1):
            mask = view.segments.mask(view.ids.index(instance))
            assert (mask == picker.mask(selection, view.name)).all()


def test_a_path_shows_a_selection_where_its_gaussians_are(true_scene, frames, views):
    gaussians, balls = true_scene
    weights = {3: torch.zeros(len(gaussians)), 7: (balls == 1).float()}
    masks = path_masks(gaussians, weights, [frame.camera for frame in frames])
    for number, (view, photo) in enumerate(zip(masks, views, strict=True), start=1):
        assert (view.name, view.photo) == (f"view_0000{number}", f"view_0000{number}.png")
        assert view.ids == (7,)
        assert iou(view.segments.mask(0), photo.label_map() == 1) > 0.9
