"""`splatseg export` of what is rendered: masks, meshes and videos."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from splatseg.cli import main
from splatseg.evaluation import iou
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
