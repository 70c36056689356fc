"""`splatseg export` of what is rendered: masks, meshes and videos."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from splatseg.cli import main
from splatseg.evaluation import iou
from splatseg.export.masks import path_masks
from splatseg.export.path import focus, turntable
from splatseg.masks import open_masks, read_label_map
from splatseg.scene import load_scene

MIN_IOU = 0.7  # of a ball in a view; most have 0.9


@pytest.fixture
def clustered(scene_copy: Path, synthetic) -> Path:
    """With its objects, and a pick of the first ball."""
    assert main(["cluster", str(scene_copy), "--json"]) == 0
    x, y = synthetic.click(1, "view_0")
    assert main(["pick", str(scene_copy), "--at", f"view_0:{x},{y}", "--name", "ball"]) == 0
    return scene_copy


def export(scene: Path, output: Path, *flags: object) -> None:
    assert main(["export", str(scene), "-o", str(output), *map(str, flags), "--json"]) == 0


def test_label_maps_of_all_objects(clustered: Path, synthetic, tmp_path: Path) -> None:
    export(clustered, tmp_path / "maps", "--format", "label-maps")
    labels = read_label_map(tmp_path / "maps" / "view_4.png")
    for ball in (1, 2, 3):
        truth = synthetic.truth["view_4"] == ball
        ids, counts = np.unique(labels[truth], return_counts=True)
        assert iou(labels == ids[counts.argmax()], truth) > MIN_IOU


def test_masks_of_a_pick(clustered: Path, synthetic, tmp_path: Path) -> None:
    export(clustered, tmp_path / "masks", "--format", "masks", "--selection", "ball")
    assert len(list((tmp_path / "masks" / "1").iterdir())) == len(synthetic.truth)
    mask = read_label_map(tmp_path / "masks" / "1" / "view_4.png") > 0
    assert iou(mask, synthetic.truth["view_4"] == 1) > MIN_IOU


def test_masks_as_sam_has_them_are_a_mask_set(clustered: Path, capture_copy: Path) -> None:
    export(clustered, capture_copy / "masks" / "again", "--format", "sa1b")
    frames = [frame.name for frame in load_scene(clustered).frames]
    masks = open_masks(capture_copy, "again", frames)
    assert set(masks.files) == set(frames)


def test_coco_opens(clustered: Path, synthetic, tmp_path: Path, capsys) -> None:
    export(clustered, tmp_path / "masks.json", "--format", "coco", "--object", 2, "--object", 3)
    coco = COCO(tmp_path / "masks.json")
    assert sorted(coco.getCatIds()) == [2, 3]
    assert len(coco.getImgIds()) == len(synthetic.truth)
    first = coco.loadAnns(coco.getAnnIds(imgIds=[1]))[0]
    assert tuple(first["segmentation"]["size"]) == synthetic.truth["view_0"].shape


def test_masks_along_a_path(clustered: Path, tmp_path: Path) -> None:
    for path in ("turntable", "flight"):
        flags = ("--format", "masks", "--selection", "ball", "--path", path, "--views", 3)
        export(clustered, tmp_path / path, *flags)
        files = sorted((tmp_path / path / "1").iterdir())
        assert [file.name for file in files] == [f"view_0000{n}.png" for n in (1, 2, 3)]
        with Image.open(files[0]) as mask:
            assert mask.getextrema() == (0, 255)


def test_objects_keep_their_ids_along_a_path(clustered: Path, tmp_path: Path) -> None:
    flags = ("--object", 3, "--path", "turntable", "--views", 2)
    for format in ("masks", "label-maps", "sa1b"):
        export(clustered, tmp_path / format, "--format", format, *flags)
    export(clustered, tmp_path / "coco.json", "--format", "coco", *flags)
    for view in ("view_00001", "view_00002"):
        labels = read_label_map(tmp_path / "label-maps" / f"{view}.png")
        mask = read_label_map(tmp_path / "masks" / "3" / f"{view}.png") > 0
        assert mask.any() and (mask == (labels == 3)).all()
        sa1b = json.loads((tmp_path / "sa1b" / f"{view}.json").read_text())
        assert sa1b["splatseg"]["ids"] == [3]
    coco = COCO(tmp_path / "coco.json")
    assert [row["category_id"] for row in coco.loadAnns(coco.getAnnIds())] == [3, 3]


def test_all_objects_are_seen_from_around_what_the_photos_look_at(
    clustered: Path, tmp_path: Path
) -> None:
    flags = ("--format", "label-maps", "--path", "turntable", "--views", 2)
    export(clustered, tmp_path / "maps", *flags)
    scene = load_scene(clustered)
    assert scene.labels is not None
    weights = {thing: (scene.labels == thing).float() for thing in (1, 2, 3, 4)}
    training = [frame.camera for frame in scene.frames if not frame.is_test]
    size = training[0].width, training[0].height
    cameras = turntable(training, focus(training), 2, *size)
    for view in path_masks(scene.gaussians, weights, cameras):
        assert {2, 3, 4} <= set(view.ids)
        labels = read_label_map(tmp_path / "maps" / f"{view.name}.png")
        assert (labels == view.label_map()).all()


def test_a_pick_is_called_by_its_folder(clustered: Path, tmp_path: Path) -> None:
    picks = (clustered / "picks" / "ball", clustered / "picks" / "ball" / "selection.safetensors")
    for number, pick in enumerate(picks):
        export(clustered, tmp_path / f"{number}.json", "--format", "coco", "--selection", pick)
        coco = COCO(tmp_path / f"{number}.json")
        assert [row["name"] for row in coco.loadCats(coco.getCatIds())] == ["ball"]


@pytest.mark.parametrize("flags", [(), ("--selection", "ball"), ("--object", 2, "--in-scene")])
def test_a_video_of_the_scene_or_an_object(clustered: Path, tmp_path: Path, flags) -> None:
    av = pytest.importorskip("av")
    export(clustered, tmp_path / "turn.mp4", "--views", 4, *flags)
    with av.open(str(tmp_path / "turn.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 4 and min(frame.std() for frame in frames) > 1


def test_a_mesh_of_an_object_and_of_each(clustered: Path, balls, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    export(clustered, tmp_path / "ball.glb", "--selection", "ball")
    mesh = trimesh.load(tmp_path / "ball.glb", force="mesh")
    center, radius = balls[1]
    assert np.linalg.norm(mesh.bounds.mean(axis=0) - center) < 0.3 * radius
    assert 1.4 * radius < np.ptp(mesh.bounds, axis=0).min() < 2.8 * radius
    objects = json.loads((clustered / "objects.json").read_text())["objects"]
    flags = ("--format", "mesh", "--per-object", "--object", 1, "--object", 2)
    export(clustered, tmp_path / "meshes", *flags)
    found = [path.name for path in (tmp_path / "meshes").iterdir()]
    assert objects[0]["kind"] == "background" and found == ["2.glb"]


REFUSED = {
    "a mesh of nothing": (("x.glb",), "a mesh is of an object; give --object ID"),
    "a path of splats": (("x.ply", "--views", 3), "--path, --views and --in-scene are for masks"),
    "masks of both": (
        ("x", "--format", "masks", "--object", 1, "--selection", "ball"),
        "give --object or --selection",
    ),
    "masks of each": (("x", "--format", "masks", "--per-object"), "--per-object is for splats"),
    "masks in a scene": (("x", "--format", "sa1b", "--in-scene"), "--in-scene is for videos"),
    "no such object": (("x", "--format", "masks", "--object", 9), "has no object 9; it has 1, 2"),
    "no such pick": (("x", "--format", "masks", "--selection", "cup"), "there is no pick cup"),
    "photos as a video": (("x.mp4", "--path", "photos"), "a video is of a turntable or a flight"),
    "no object in the scene": (("x.mp4", "--in-scene"), "--in-scene needs an object"),
    "no views": (("x.mp4", "--views", 0), "--views is 0; expected at least 1"),
    "a video of no video format": (("x.avi", "--format", "video"), "does not end with .mp4"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case: str, clustered: Path, tmp_path: Path, refused) -> None:
    (output, *flags), sentence = REFUSED[case]
    assert sentence in refused("export", clustered, "-o", tmp_path / "out" / output, *flags)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_photos_is_not_replaced(clustered: Path, capture_copy: Path, refused) -> None:
    photos = capture_copy / "images"
    before = sorted(path.name for path in photos.iterdir())
    sentence = refused("export", clustered, "-o", photos, "--format", "masks")
    assert "masks take the place of the whole folder" in sentence
    assert sorted(path.name for path in photos.iterdir()) == before
