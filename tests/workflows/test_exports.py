"""Exports of a scene whose objects are known: what is written, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.progress import Recorder
from builders.two_squares import contents
from pycocotools.coco import COCO

from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.export.config import ExportFormat, Viewpoints
from splatseg.export.formats import FORMATS, GaussianFormat
from splatseg.masks import open_masks, read_label_map
from splatseg.scene import load_scene, read_ply, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint
from splatseg.workflows.exports import export

MIN_IOU = 0.8  # of a ball in a view, at a few pixels of outline
FILES = [name for name, kind in FORMATS.items() if isinstance(kind, GaussianFormat)]
TURN = Viewpoints(path="turntable", views=2)


@pytest.mark.parametrize("format", [name for name in FILES if name != "mesh"])
def test_a_whole_scene_is_a_file(format: ExportFormat, labeled: Path, tmp_path: Path) -> None:
    path = tmp_path / f"out{FORMATS[format].suffixes[0]}"
    result = export(labeled, path, format=format).to_json()
    assert result["gaussians"] == len(load_scene(labeled).gaussians)
    assert result["bytes"] == path.stat().st_size


def test_objects_and_picks_restrict_what_is_written(labeled: Path, tmp_path: Path) -> None:
    scene, chosen = load_scene(labeled), {2: {"objects": [2]}, 1: {"selections": ["ball"]}}
    for number, selected in chosen.items():
        means = read_ply(export(labeled, tmp_path / "one.ply", **selected).output).means
        assert torch.equal(means, scene.gaussians.means[scene.labels == number])
    both = export(labeled, tmp_path / "both.npz", objects=[2], selections=["ball"]).output
    with np.load(both) as arrays:
        inside = (scene.labels == 1) | (scene.labels == 2)
        assert arrays["ids"].tolist() == scene.labels[inside].tolist()


def test_boxes_are_of_objects_or_of_one_pick(labeled: Path, tmp_path: Path) -> None:
    def boxes(**selected: Any) -> list[tuple[int | None, str | None]]:
        export(labeled, tmp_path / "boxes.json", **selected)
        rows = json.loads((tmp_path / "boxes.json").read_text())["boxes"]
        return [(row["id"], row["kind"]) for row in rows]

    assert boxes() == [(1, "object"), (2, "object"), (3, "background")]
    assert boxes(objects=[3]) == [(3, "background")]
    assert boxes(selections=["ball"]) == [(None, None)]
    (labeled / "objects.json").write_text('{"objects": [{}]}')
    with pytest.raises(SplatsegError, match="is no object table"):
        boxes()
    (labeled / "objects.json").unlink()
    assert boxes() == [(1, None), (2, None), (3, None)]


def test_each_object_has_a_file(labeled: Path, tmp_path: Path) -> None:
    result = export(labeled, tmp_path / "parts", format="ply", per_object=True)
    rows = result.to_json()["objects"]
    assert [(row["id"], row["file"]) for row in rows] == [(n, f"{n}.ply") for n in (1, 2, 3)]
    for row in rows:
        path = tmp_path / "parts" / row["file"]
        assert (row["gaussians"], row["bytes"]) == (len(read_ply(path)), path.stat().st_size)
    export(labeled, tmp_path / "parts", format="splat", per_object=True, objects=[3])
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["3.splat"]


def test_meshes_of_a_pick_and_of_each_object(labeled: Path, balls, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    progress = Recorder()
    export(labeled, tmp_path / "ball.glb", selections=["ball"], progress=progress)
    assert progress.stages == ["fusing depth"]
    mesh = trimesh.load(tmp_path / "ball.glb", force="mesh")
    center, radius = balls[1]
    assert np.linalg.norm(mesh.bounds.mean(axis=0) - center) < 0.3 * radius
    assert 1.4 * radius < np.ptp(mesh.bounds, axis=0).min() < 2.8 * radius

    scene, faint = load_scene(labeled), tmp_path / "faint"
    scene.gaussians.logit_opacities[scene.labels == 1] = -5  # too faint for a surface
    save_scene(faint, scene)
    progress = Recorder()
    meshes = {"format": "mesh", "per_object": True, "progress": progress}
    result = export(faint, tmp_path / "meshes", objects=[1, 2], **meshes)
    assert [path.name for path in (tmp_path / "meshes").iterdir()] == ["2.glb"]
    assert result.objects is not None and [row.id for row in result.objects] == [2]
    assert progress.updates == [("objects", 1, 2), ("objects", 2, 2)]
    assert "1.glb is left out: " in progress.notes[0]
    with pytest.raises(SplatsegError, match="no object could be written as mesh"):
        export(faint, tmp_path / "none", objects=[1], **meshes)
    assert not (tmp_path / "none").exists()


def test_masks_in_the_photos(labeled: Path, synthetic, capture_copy: Path, tmp_path: Path) -> None:
    progress = Recorder()
    maps = export(labeled, tmp_path / "maps", format="label-maps", progress=progress)
    assert progress.updates == [("masks", n, 10) for n in range(1, 11)]
    assert maps.to_json()["things"][0] == {"id": 1, "name": "object 1"}
    pick = labeled / "picks" / "ball"
    for name in ("ball", pick, pick / "selection.safetensors"):
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        masks = export(labeled, output, format="masks", selections=[str(name)])
        assert masks.views == 10 and masks.instances == {1: "ball"}
    for frame, truth in synthetic.truth.items():
        labels = read_label_map(tmp_path / "maps" / f"{frame}.png")
        for ball in (1, 2, 3):
            assert iou(labels == ball, truth == ball) > MIN_IOU
        mask = read_label_map(output / "1" / f"{frame}.png") > 0
        assert iou(mask, truth == 1) > MIN_IOU
    export(labeled, capture_copy / "masks" / "again", format="sa1b")
    assert set(open_masks(capture_copy, "again", list(synthetic.truth)).files) == set(
        synthetic.truth
    )
    export(labeled, tmp_path / "coco.json", format="coco", objects=[2, 3])
    coco = COCO(tmp_path / "coco.json")
    assert sorted(coco.getCatIds()) == [2, 3] and len(coco.getImgIds()) == 10


def test_masks_along_a_path_keep_their_ids(labeled: Path, tmp_path: Path) -> None:
    for format in ("masks", "label-maps", "sa1b", "coco"):
        output = tmp_path / ("coco.json" if format == "coco" else format)
        export(labeled, output, format=format, objects=[3], viewpoints=TURN)
    for view in ("view_00001", "view_00002"):
        labels = read_label_map(tmp_path / "label-maps" / f"{view}.png")
        mask = read_label_map(tmp_path / "masks" / "3" / f"{view}.png") > 0
        assert mask.any() and (mask == (labels == 3)).all()
        sa1b = json.loads((tmp_path / "sa1b" / f"{view}.json").read_text())
        assert sa1b["splatseg"]["ids"] == [3]
    coco = COCO(tmp_path / "coco.json")
    assert [row["category_id"] for row in coco.loadAnns(coco.getAnnIds())] == [3, 3]
    flight = Viewpoints(path="flight", views=3)
    export(labeled, tmp_path / "flown", format="masks", selections=["ball"], viewpoints=flight)
    names = [path.name for path in sorted((tmp_path / "flown" / "1").iterdir())]
    assert names == [f"view_0000{n}.png" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("selected", "in_scene"),
    [({}, False), ({"selections": ["ball"]}, False), ({"objects": [2]}, True)],
)
def test_a_video(selected: dict[str, Any], in_scene: bool, labeled: Path, tmp_path: Path) -> None:
    av, progress, path = pytest.importorskip("av"), Recorder(), tmp_path / "turn.mp4"
    viewpoints = Viewpoints(views=3, in_scene=in_scene)
    result = export(labeled, path, **selected, viewpoints=viewpoints, progress=progress)
    assert result.to_json() == {"export": str(path), "format": "video", "views": 3}
    assert progress.updates == [("video", n, 3) for n in (1, 2, 3)]
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 3 and min(frame.std() for frame in frames) > 1


PICK = {"selections": ["ball"]}
SCENE_IN_VIEW = Viewpoints(in_scene=True)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("x.fbx", {}, "has no suffix that tells a format"),
    ("x.ply", {"objects": [7]}, "has no object 7; it has 1, 2, 3"),
    ("x.ply", {"selections": ["mug"]}, "there is no pick mug"),
    ("x.ply", {"selections": ["none"]}, "the selection holds no Gaussian"),
    ("x", {"per_object": True}, "`per_object` needs `format`"),
    ("x", {"per_object": True, "format": "boxes"}, "one file for all"),
    ("x", {"per_object": True, "format": "ply"} | PICK, "in place of"),
    ("x", {"per_object": True, "format": "masks"}, "`per_object` is for splats"),
    ("x.glb", {}, "a mesh is of an object; give its `object` id"),
    ("x.ply", {"viewpoints": TURN}, "`path`, `views` and `in_scene` are for"),
    ("x", {"format": "masks", "objects": [1]} | PICK, "give `object` or `selection`"),
    ("x", {"format": "masks", "objects": [9]}, "has no object 9; it has 1, 2"),
    ("x", {"format": "sa1b", "viewpoints": SCENE_IN_VIEW}, "`in_scene` is for videos"),
    ("x.mp4", {"viewpoints": Viewpoints("photos")}, "a video is of a turntable or a flight"),
    ("x.mp4", {"viewpoints": SCENE_IN_VIEW}, "`in_scene` needs an object"),
    ("x.mp4", {"viewpoints": Viewpoints(views=0)}, "`views` is 0; expected at least 1"),
]


@pytest.mark.parametrize(("name", "arguments", "sentence"), REFUSED)
def test_a_refused_export_writes_nothing(
    name: str, arguments: dict[str, Any], sentence: str, labeled: Path, tmp_path: Path
) -> None:
    gaussians = load_scene(labeled).gaussians
    nothing = Selection(torch.full((len(gaussians),), 0.4), fingerprint(gaussians), ("nothing",))
    save_selection(labeled / "picks" / "none" / "selection.safetensors", nothing)
    with pytest.raises(SplatsegError) as caught:
        export(labeled, tmp_path / "new" / name, **arguments)
    assert sentence in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.json", "masks"])
def test_a_scene_without_objects_has_no_ids_and_masks(
    name: str, labeled: Path, tmp_path: Path
) -> None:
    save_scene(tmp_path / "bare", replace(load_scene(labeled), labels=None, parts={}))
    with pytest.raises(SplatsegError, match="has no objects yet; run splatseg cluster"):
        export(tmp_path / "bare", tmp_path / name, format="masks" if name == "masks" else None)


def test_foreign_files_are_never_replaced(labeled: Path, capture_copy: Path) -> None:
    before = contents(labeled.parent)
    refused: list[tuple[Path, dict[str, Any], str]] = [
        (labeled / "scene.ply", {"objects": [1]}, "belongs to a scene"),
        (labeled / "objects.json", {}, "belongs to a scene"),
        (labeled, {"format": "ply", "per_object": True}, "which is no exported object"),
        (capture_copy / "images", {"format": "masks"}, "masks replace the whole folder"),
    ]
    for output, arguments, sentence in refused:
        with pytest.raises(SplatsegError, match=sentence):
            export(labeled, output, **arguments)
    assert contents(labeled.parent) == before
