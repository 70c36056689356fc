"""Masks of every photo: made once, kept, drawn, described, and imported."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import two_squares as scene
from builders.progress import Recorder
from builders.two_squares import MATCHED, SIZE, best_iou, contents, square
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, read_segments, write_label_map, write_segments
from splatseg.masks.generation.config import GenerationConfig
from splatseg.progress import Canceled
from splatseg.workflows import masks as workflow
from splatseg.workflows.masks import (
    MasksResult,
    describe_masks,
    draw_masks,
    import_masks,
    is_finished,
    list_mask_sets,
    make_masks,
)

QUICK = GenerationConfig(points_per_side=4, crops=0, boxes=False)

Make = Callable[..., MasksResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_sam: Any) -> Path:
    return tiny_sam.write_tiny_sam(tmp_path_factory.mktemp("models") / "tiny", side=128)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos that have no poses yet: a, b, and c in a folder of its own."""
    return scene.write_photos(tmp_path / "capture")


@pytest.fixture
def make(root: Path, model: Path) -> Make:
    def make(**arguments: Any) -> MasksResult:
        return make_masks(root, **({"model": str(model), "config": QUICK} | arguments))

    return make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A capture with the set `tiny`: take `copy`."""
    root = scene.write_photos(tmp_path_factory.mktemp("made") / "capture")
    make_masks(root, model=str(model), config=QUICK)
    return root


@pytest.fixture
def copy(made: Path, root: Path) -> Path:
    """`root` with the masks made."""
    shutil.copytree(made / "masks", root / "masks")
    return root


def test_each_square_in_each_photo_has_a_mask(root: Path, make: Make) -> None:
    progress = Recorder()
    result = make(progress=progress)
    folder = root / "masks" / "tiny"
    assert (result.masks, result.name, result.model) == (folder, "tiny", "tiny")
    assert sorted(contents(folder)) == ["a.json", "b.json", "more/c.json"]
    for view, frame in enumerate(scene.PHOTOS):
        segments = read_segments(folder / f"{frame}.json")
        assert (segments.height, segments.width) == SIZE
        assert all(best_iou(segments, square(name, view)) >= MATCHED for name in scene.COLORS)
    assert (result.photos, result.made, result.held_out) == (3, 3, 0)
    counts = sorted(len(read_segments(path)) for path in folder.rglob("*.json"))
    assert result.masks_per_photo == counts[1] and result.seconds_per_photo > 0
    assert progress.updates == [("making masks", done, 3) for done in range(4)]
    assert progress.notes == ["masks of 3 photos by tiny"]
    data = json.loads((folder / "more" / "c.json").read_text())  # SA-1B, and how it was made
    assert data["image"] == {"file_name": "more/c.jpg", "width": SIZE[1], "height": SIZE[0]}
    assert data["splatseg"] == {
        **{"model": "tiny", "grid": 4, "crops": 0, "crop_grid": 8, "boxes": False},
        **{"adaptive": True, "min_predicted_iou": 0.6, "min_stability": 0.75, "max_iou": 0.8},
    }
    assert data["annotations"][0]["predicted_iou"] > 0.6


def test_photos_with_poses_are_turned_and_held_out_ones_left_out(root: Path, make: Make) -> None:
    scene.add_poses(root)
    turned = Image.fromarray(np.rot90(scene.photo(0), -1))
    exif = turned.getexif()
    exif[0x0112] = 8  # to be turned back by a quarter
    turned.save(root / "images" / "a.png", exif=exif)
    result = make()
    assert (result.photos, result.held_out) == (2, 1)
    assert sorted(contents(result.masks)) == ["a.json", "more/c.json"] and is_finished(root, "tiny")
    segments = read_segments(result.masks / "a.json")
    assert (segments.height, segments.width) == SIZE
    assert best_iou(segments, square("red", 0)) >= MATCHED
    assert [row.frame for row in describe_masks(root).photos] == ["a", "more/c"]
    assert make(with_held_out=True).made == 1


def test_models_give_folders_names() -> None:
    names = {"facebook/sam-vit-base": "sam-vit-base", "my sam: v2": "my-sam-v2", "***": "sam"}
    assert {model: workflow._file_safe(model) for model in names} == names


def test_photos_at_once_have_the_masks_that_they_have_alone(copy: Path, make: Make) -> None:
    torch.set_num_threads(2)
    try:
        at_once = make(name="at-once")
    finally:
        torch.set_num_threads(1)
    for file in sorted((copy / "masks" / "tiny").rglob("*.json")):
        other = at_once.masks / file.relative_to(copy / "masks" / "tiny")
        assert read_segments(file).rles == read_segments(other).rles


def test_only_what_is_missing_or_broken_is_made_again(copy: Path, make: Make) -> None:
    before, folder, progress = contents(copy / "masks"), copy / "masks" / "tiny", Recorder()
    again = make(progress=progress)
    assert contents(copy / "masks") == before and is_finished(copy, "tiny")
    assert (again.photos, again.made, again.seconds_per_photo) == (3, 0, None)
    assert progress.notes == ["masks of 3 photos by tiny; 3 have theirs"]
    data = json.loads((folder / "a.json").read_text())
    data["annotations"][0]["segmentation"]["counts"] = "1234"
    broken = [json.dumps(content).encode() for content in (data, data | {"annotations": None})]
    for content in (*broken, before["tiny/a.json"][:500], None):
        (folder / "a.json").unlink()
        if content:
            (folder / "a.json").write_bytes(content)
        assert not is_finished(copy, "tiny")
        assert make(config=None).made == 1 and contents(copy / "masks") == before


def test_canceling_keeps_what_is_done(root: Path, make: Make) -> None:
    progress = Recorder(cancel_in="making masks", cancel_at=1)
    with pytest.raises(Canceled):
        make(progress=progress)
    folder = root / "masks" / "tiny"
    assert progress.notes == [
        "masks of 3 photos by tiny",
        "stopping, once the photos in work are done with",
        f"stopped; 1 of 3 photos have their masks in {folder}",
    ]
    assert list(contents(folder)) == ["a.json"]
    assert make().made == 2


def test_one_set_holds_the_masks_of_one_model_and_its_settings(
    copy: Path, model: Path, make: Make, tmp_path: Path
) -> None:
    before = contents(copy / "masks")
    slow = replace(QUICK, adaptive=False)
    with pytest.raises(SplatsegError, match=r"other settings \(adaptive was True, now False\); pa"):
        make(config=slow)
    other = shutil.copytree(model, tmp_path / "other")
    with pytest.raises(SplatsegError, match=r"\(model was tiny, now other\)"):
        make(model=str(other), name="tiny")
    assert contents(copy / "masks") == before
    assert make(config=slow, name="slow").masks == copy / "masks" / "slow"
    assert make(config=slow, restart=True).made == 3
    written = json.loads((copy / "masks" / "tiny" / "a.json").read_text())["splatseg"]
    assert written["adaptive"] is False


@pytest.mark.parametrize("name", ["a.json", "a.png"])
def test_masks_of_others_are_not_touched(root: Path, make: Make, name: str) -> None:
    path, labels = root / "masks" / "tiny" / name, square("red", 0).astype(np.uint8)
    if name == "a.json":
        write_segments(path, Segments.from_label_map(labels), "a.png")
    else:
        write_label_map(path, labels)
    before = contents(root / "masks")
    with pytest.raises(SplatsegError, match=f"holds {name}, which splatseg did not make; give"):
        make(restart=True)
    assert contents(root / "masks") == before and is_finished(root, "tiny")


@pytest.mark.parametrize(("length", "unreadable"), [(120, ("a",)), (8, ())])
def test_photos_that_give_nothing(
    root: Path, make: Make, length: int, unreadable: tuple[str, ...]
) -> None:
    """With 120 bytes a photo has a size, so that it is known to be missing."""
    photos, progress = root / "images", Recorder()
    (photos / "a.png").write_bytes((photos / "a.png").read_bytes()[:length])
    confetti = np.random.default_rng(0).integers(0, 2, (24, 32, 3)).repeat(4, 0).repeat(4, 1)
    Image.fromarray((255 * confetti).astype(np.uint8)).save(photos / "b.png")
    result = make(progress=progress)
    assert any(n.startswith("left out: ") and "a.png cannot be read" in n for n in progress.notes)
    assert (result.unreadable, result.empty) == (unreadable, ("b",))
    assert sorted(contents(result.masks)) == ["b.json", "more/c.json"]
    assert len(read_segments(result.masks / "b.json")) == 0
    (photos / "b.png").unlink()
    shutil.rmtree(photos / "more")
    with pytest.raises(SplatsegError, match=r"no photo .*can be read: .*a\.png cannot be read"):
        make(name="none")


def test_what_is_refused(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "empty" / "images").mkdir(parents=True)
    twice = shutil.copytree(root, tmp_path / "twice")
    shutil.copy(twice / "images" / "a.png", twice / "images" / "a.jpg")
    for place, options, sentence in (
        (root / "images", {}, "images has no folder images; expected a capture"),
        (tmp_path / "empty", {}, "no photo that can be read; put the photos there"),
        (twice, {}, "would both have the masks of the frame a; remove or rename one"),
        (root, {"device": "cuda"}, "torch finds no GPU; `device` cuda needs"),
        (root, {"name": ".hidden"}, r"`name` is .*; expected a folder's name"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            make_masks(place, **options)
    assert not (root / "masks").exists()


def test_previews_show_the_masks_and_leave_out_broken_ones(copy: Path) -> None:
    large = Image.fromarray(scene.photo(1)).resize((2400, 1800), Image.Resampling.NEAREST)
    large.save(copy / "images" / "b.png")
    progress, masks = Recorder(), copy / "masks" / "tiny"
    folder = draw_masks(copy, progress=progress)
    assert folder == copy / "mask_previews" / "tiny"
    assert sorted(contents(folder)) == ["a.jpg", "b.jpg", "more/c.jpg"]
    assert progress.updates == [("drawing masks", done, 3) for done in (1, 2, 3)]
    with Image.open(folder / "a.jpg") as small, Image.open(folder / "b.jpg") as shrunk:
        difference = np.abs(np.asarray(small, dtype=int) - scene.photo(0)).sum(axis=-1)
        assert difference.shape == SIZE and difference[square("red", 0)].mean() > 30
        assert shrunk.size == (1600, 1200)
    assert list_mask_sets(copy) == ["tiny"]  # previews are no set
    assert describe_masks(copy).flags == ()
    (masks / "a.json").write_text("{")
    (masks / "b.json").unlink()
    shutil.rmtree(folder)
    assert list(contents(draw_masks(copy, progress=progress))) == ["more/c.jpg"]
    (note,) = progress.notes
    assert note.startswith("not drawn: ") and "a.json is not valid JSON" in note
    found = describe_masks(copy)
    assert found.to_json()["total_masks"] == len(read_segments(masks / "more" / "c.json"))
    assert [(f.frame, f.problem) for f in found.flags] == [("a", "refused"), ("b", "no file")]


def test_masks_of_another_tool_become_a_set(root: Path, tmp_path: Path) -> None:
    theirs, folder, progress = tmp_path / "theirs", root / "masks" / "label-map", Recorder()
    for view, name in enumerate("ab"):
        labels = square("red", view) + 2 * square("green", view).astype(np.uint8)
        write_label_map(theirs / f"{name}.png", labels.astype(np.uint8))
    result = import_masks(root, theirs, progress=progress)
    assert (result.masks, result.model, result.format) == (folder, None, "label-map")
    assert (result.photos, result.made, result.masks_per_photo) == (2, 2, 2)
    assert result.seconds_per_photo is None
    assert sorted(contents(folder)) == ["a.json", "b.json"]
    np.testing.assert_array_equal(read_segments(folder / "b.json").mask(0), square("red", 1))
    assert progress.updates == [("importing masks", done, 2) for done in (1, 2)]
    note = f"masks of 2 photos from {theirs}, of the format label-map; 1 have none there"
    assert progress.notes == [note]
    before = contents(root / "masks")
    with pytest.raises(SplatsegError, match="is there already; name another set with `name`, or"):
        import_masks(root, theirs)
    (theirs / "b.png").write_bytes((theirs / "b.png").read_bytes()[:60])
    with pytest.raises(SplatsegError, match=r"b\.png cannot be read as PNG"):
        import_masks(root, theirs, format="label-map", name="theirs")
    assert contents(root / "masks") == before
