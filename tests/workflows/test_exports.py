"""Exports of a scene whose objects are known: what is written, and what is refused."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.progress import Recorder
from PIL import Image
from pycocotools.coco import COCO

from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.export.config import ExportFormat, Viewpoints
from splatseg.export.formats import FORMATS, GaussianFormat
from splatseg.export.path import focus, turntable
from splatseg.masks import open_masks, read_label_map
from splatseg.scene import load_scene, read_ply, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint
from splatseg.workflows.exports import export

MIN_IOU = 0.8  # of a ball in a view, at a few pixels of outline
FILES = [name for name, kind in FORMATS.items() if isinstance(kind, GaussianFormat)]
TURN = Viewpoints(path="turntable", views=2)


@pytest.fixture
def unlabeled(labeled: Path, tmp_path: Path) -> Path:
    """The scene before it was clustered."""
    scene = load_scene(labeled)
    bare = {"labels": None, "parts": {}}
    save_scene(tmp_path / "bare", type(scene)(**(vars(scene) | bare)))
    return tmp_path / "bare"


@pytest.mark.parametrize("format", [name for name in FILES if name != "mesh"])
def test_a_whole_scene_is_a_file(format: ExportFormat, labeled: Path, tmp_path: Path) -> None:
    path = tmp_path / f"out{FORMATS[format].suffixes[0]}"
    result = export(labeled, path, format=format)
    assert result.to_json() == {
        "export": str(path),
        "format": format,
        "gaussians": len(load_scene(labeled).gaussians),
        "bytes": path.stat().st_size,
    }


def test_objects_and_picks_restrict_what_is_written(labeled: Path, tmp_path: Path) -> None:
    gaussians, labels = load_scene(labeled).gaussians, load_scene(labeled).labels
    assert labels is not None

    def exported(name: str, **selected: Any) -> Path:
        return export(labeled, tmp_path / name, **selected).output

    chosen = {"one.ply": {"objects": [2]}, "ball.ply": {"selections": ["ball"]}}
    for (name, selected), number in zip(chosen.items(), (2, 1), strict=True):
        means = read_ply(exported(name, **selected)).means
        assert torch.equal(means, gaussians.means[labels == number])
    both = exported("both.npz", objects=[2], selections=["ball"])
    with np.load(both) as arrays:
        assert arrays["ids"].tolist() == labels[(labels == 1) | (labels == 2)].tolist()


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

    scene = load_scene(labeled)
    assert scene.labels is not None
    scene.gaussians.logit_opacities[scene.labels == 1] = -5  # too faint for a surface
    faint = tmp_path / "faint"
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
    for format in ("masks", "label-maps", "sa1b"):
        export(labeled, tmp_path / format, format=format, objects=[3], viewpoints=TURN)
    export(labeled, tmp_path / "coco.json", format="coco", objects=[3], viewpoints=TURN)
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
    files = sorted((tmp_path / "flown" / "1").iterdir())
    assert [file.name for file in files] == [f"view_0000{n}.png" for n in (1, 2, 3)]
    with Image.open(files[0]) as mask:
        assert mask.getextrema() == (0, 255)


def test_a_turntable_of_all_objects_is_around_what_the_photos_look_at(
    labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def noted(cameras, center, count, width, height, radius=None):
        asked.extend((center, radius))
        return turntable(cameras, center, count, width, height, radius)

    monkeypatch.setattr("splatseg.export.viewpoints.turntable", noted)
    export(labeled, tmp_path / "maps", format="label-maps", viewpoints=TURN)
    center, radius = asked
    training = [frame.camera for frame in load_scene(labeled).train]
    assert torch.equal(center, focus(training)) and radius is None
    assert set(np.unique(read_label_map(tmp_path / "maps" / "view_00001.png"))) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("selected", "in_scene"),
    [({}, False), ({"selections": ["ball"]}, False), ({"objects": [2]}, True)],
)
def test_a_video_of_the_scene_or_an_object(
    labeled: Path, tmp_path: Path, selected: dict[str, Any], in_scene: bool
) -> None:
    av = pytest.importorskip("av")
    progress = Recorder()
    viewpoints = Viewpoints(views=3, in_scene=in_scene)
    path = tmp_path / "turn.mp4"
    result = export(labeled, path, **selected, viewpoints=viewpoints, progress=progress)
    assert result.to_json() == {"export": str(path), "format": "video", "views": 3}
    assert progress.updates == [("video", n, 3) for n in (1, 2, 3)]
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 3 and min(frame.std() for frame in frames) > 1


PICK = {"selections": ["ball"]}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown suffix": ("x.fbx", {}, "has no suffix that tells a format"),
    "no such object": ("x.ply", {"objects": [7]}, "has no object 7; it has 1, 2, 3"),
    "no such pick": ("x.ply", {"selections": ["mug"]}, "there is no pick mug"),
    "each of none": ("x", {"per_object": True}, "`per_object` needs `format`"),
    "each of boxes": ("x", {"per_object": True, "format": "boxes"}, "one file for all"),
    "each of picks": ("x", {"per_object": True, "format": "ply"} | PICK, "in place of"),
    "each of masks": ("x", {"per_object": True, "format": "masks"}, "`per_object` is for splats"),
    "mesh of all": ("x.glb", {}, "a mesh is of an object; give its `object` id"),
    "path of splats": ("x.ply", {"viewpoints": TURN}, "`path`, `views` and `in_scene` are for"),
    "both": ("x", {"format": "masks", "objects": [1]} | PICK, "give `object` or `selection`"),
    "no mask": ("x", {"format": "masks", "objects": [9]}, "has no object 9; it has 1, 2"),
    "masks in a scene": (
        "x",
        {"format": "sa1b", "viewpoints": Viewpoints(in_scene=True)},
        "`in_scene` is for videos",
    ),
    "video of photos": (
        "x.mp4",
        {"viewpoints": Viewpoints("photos")},
        "a video is of a turntable or a flight",
    ),
    "scene in a scene": (
        "x.mp4",
        {"viewpoints": Viewpoints(in_scene=True)},
        "`in_scene` needs an object",
    ),
    "no views": ("x.mp4", {"viewpoints": Viewpoints(views=0)}, "`views` is 0; expected at least 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_export_writes_nothing(case: str, labeled: Path, tmp_path: Path) -> None:
    name, arguments, sentence = REFUSED[case]
    with pytest.raises(SplatsegError) as caught:
        export(labeled, tmp_path / "new" / name, **arguments)
    assert sentence in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_scene_without_objects_has_no_ids_and_masks(unlabeled: Path, tmp_path: Path) -> None:
    for name, format in {"a.npz": "ids", "a.json": "boxes", "a": "masks"}.items():
        with pytest.raises(SplatsegError, match="has no objects yet; run splatseg cluster"):
            export(unlabeled, tmp_path / name, format=format)  # type: ignore[arg-type]


def test_a_pick_of_nothing_is_not_exported(labeled: Path, tmp_path: Path) -> None:
    gaussians = load_scene(labeled).gaussians
    nothing = Selection(torch.full((len(gaussians),), 0.4), fingerprint(gaussians), ("nothing",))
    save_selection(tmp_path / "none.safetensors", nothing)
    with pytest.raises(SplatsegError, match="the selection holds no Gaussian"):
        export(labeled, tmp_path / "a.ply", selections=[str(tmp_path / "none.safetensors")])
    assert not (tmp_path / "a.ply").exists()


def test_foreign_files_are_never_replaced(labeled: Path, capture_copy: Path) -> None:
    def files() -> dict[Path, bytes]:
        folders = (labeled, capture_copy)
        return {p: p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}

    before = files()
    refused: list[tuple[Path, dict[str, Any], str]] = [
        (labeled / "scene.ply", {"objects": [1]}, "belongs to a scene"),
        (labeled / "objects.json", {}, "belongs to a scene"),
        (labeled, {"format": "ply", "per_object": True}, "which is no exported object"),
        (capture_copy / "images", {"format": "masks"}, "masks replace the whole folder"),
    ]
    for output, arguments, sentence in refused:
        with pytest.raises(SplatsegError, match=sentence):
            export(labeled, output, **arguments)
    assert files() == before


def test_a_full_disk_leaves_what_was_there(
    labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output = export(labeled, tmp_path / "a.ply", objects=[1]).output
    before = output.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(SplatsegError, match=r"cannot write .*No space left"):
            export(labeled, output, objects=[2])
    assert output.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"scene", "a.ply"}
