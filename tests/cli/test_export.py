"""`splatseg export`: which Gaussians, in which format, under which name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splatseg.cli.export import FORMATS, Export
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.scene import load_scene, read_ply, save_labels
from splatseg.segmentation.selection import Selection, fingerprint, save_selection


def export(scene: Path, output: Path, **flags: Any) -> dict[str, Any]:
    return Export(scene=scene, output=output, **flags).run(Output(as_json=True))


@pytest.fixture
def labeled(scene_copy: Path) -> Path:
    """The trained scene, its Gaussians in objects 1 and 4, one in none, one floating."""
    count = len(load_scene(scene_copy).gaussians)
    labels = torch.where(torch.arange(count) % 3 == 0, 4, 1)
    labels[0], labels[1] = 0, -1
    save_labels(scene_copy, labels)
    rows = [{"id": 1, "kind": "object"}, {"id": 4, "kind": "background"}]
    (scene_copy / "objects.json").write_text(json.dumps({"objects": rows}))
    return scene_copy


@pytest.fixture
def picked(labeled: Path) -> Path:
    """With a pick, cup, of ten Gaussians."""
    gaussians = load_scene(labeled).gaussians
    weights = torch.zeros(len(gaussians))
    weights[10:20] = 0.9
    weights[20:30] = 0.4  # less than half
    path = labeled / "picks" / "cup" / "selection.safetensors"
    save_selection(path, Selection(weights, fingerprint(gaussians), ("by hand",)))
    return labeled


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "mesh"])
def test_the_suffix_tells_the_format(labeled: Path, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"out{FORMATS[format].suffixes[0]}"
    said = export(labeled, path)
    expected = "ply" if format == "ids-ply" else format
    count = len(load_scene(labeled).gaussians)
    assert said == {
        "export": str(path),
        "format": expected,
        "gaussians": count,
        "bytes": path.stat().st_size,
    }


def test_objects_and_picks_restrict_what_is_written(picked: Path, tmp_path: Path) -> None:
    scene = load_scene(picked)
    assert scene.labels is not None
    export(picked, tmp_path / "one.ply", object=[4])
    assert torch.equal(
        read_ply(tmp_path / "one.ply").means, scene.gaussians.means[scene.labels == 4]
    )
    export(picked, tmp_path / "cup.ply", selection=["cup"])
    assert torch.equal(read_ply(tmp_path / "cup.ply").means, scene.gaussians.means[10:20])

    export(picked, tmp_path / "both.ply", object=[4], selection=["cup"])
    export(picked, tmp_path / "both.npz", object=[4], selection=["cup"])
    with np.load(tmp_path / "both.npz") as arrays:  # a row for each of both.ply
        assert len(arrays["ids"]) == len(read_ply(tmp_path / "both.ply"))


def test_each_object_a_file(labeled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    said = export(labeled, folder, format="ply", per_object=True)
    assert {path.name for path in folder.iterdir()} == {"1.ply", "4.ply"}
    assert [(row["id"], row["file"]) for row in said["objects"]] == [(1, "1.ply"), (4, "4.ply")]
    for row in said["objects"]:
        assert len(read_ply(folder / row["file"])) == row["gaussians"]

    export(labeled, folder, format="splat", per_object=True, object=[4])
    assert {path.name for path in folder.iterdir()} == {"4.splat"}  # in place of the earlier ones


def test_boxes_of_objects_and_of_a_pick(picked: Path, tmp_path: Path) -> None:
    def boxes(**flags: Any) -> list[dict[str, Any]]:
        export(picked, tmp_path / "boxes.json", **flags)
        return json.loads((tmp_path / "boxes.json").read_text())["boxes"]

    assert [(row["id"], row["kind"]) for row in boxes()] == [(1, "object"), (4, "background")]
    assert [row["id"] for row in boxes(object=[4])] == [4]
    (row,) = boxes(selection=["cup"])
    assert (row["id"], row["gaussians"]) == (None, 10)
    (picked / "objects.json").unlink()
    assert [row["kind"] for row in boxes()] == [None, None]


@pytest.mark.parametrize(
    ("name", "flags", "sentence"),
    [
        ("out.fbx", {}, "has no suffix that tells a format; expected one of .compressed.ply"),
        ("out.ply", {"format": "spz"}, "does not end with .spz"),
        ("out.compressed.ply", {"format": "ply"}, "does not end with .ply"),
        ("out.ply", {"object": [7]}, "has no object 7; it has 1, 4"),
        ("out.ply", {"selection": ["mug"]}, "there is no pick mug"),
        ("out", {"per_object": True}, "--per-object needs --format"),
        ("out", {"per_object": True, "format": "boxes"}, "one file for all"),
        ("out", {"per_object": True, "format": "ply", "selection": ["cup"]}, "in place of"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    picked: Path, tmp_path: Path, name: str, flags: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SplatsegError) as caught:
        export(picked, tmp_path / "new" / name, **flags)
    assert sentence in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_scene_without_objects_has_no_ids(scene_copy: Path, tmp_path: Path) -> None:
    for name in ("ids.npz", "boxes.json"):
        with pytest.raises(SplatsegError, match="has no objects yet; run splatseg cluster"):
            export(scene_copy, tmp_path / name)


def test_nothing_of_a_scene_and_no_foreign_folder_is_overwritten(labeled: Path) -> None:
    before = (labeled / "scene.ply").read_bytes()
    with pytest.raises(SplatsegError, match="belongs to a scene"):
        export(labeled, labeled / "scene.ply", object=[1])
    with pytest.raises(SplatsegError, match="belongs to a scene"):
        export(labeled, labeled / "objects.json")
    with pytest.raises(SplatsegError, match="which is no exported object"):
        export(labeled, labeled, format="ply", per_object=True)
    assert (labeled / "scene.ply").read_bytes() == before
