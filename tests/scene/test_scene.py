"""The scene folder: round trips, damage in words, and kills between any two steps of a save."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.dying_disk import Killed

from splatseg.errors import SplatsegError
from splatseg.scene import Scene, add_metrics, load_scene, read_ply, save_labels, save_scene
from splatseg.tensor_files import read_tensors, write_tensors

FILES = {"scene.ply", "features.safetensors", "manifest.json"}


def assert_same(one: Scene, other: Scene) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one.gaussians, other.gaussians, strict=True))
    assert [frame.to_json() for frame in one.frames] == [f.to_json() for f in other.frames]
    assert (one.capture, one.config, one.metrics) == (other.capture, other.config, other.metrics)
    assert one.levels.keys() == other.levels.keys()
    assert all(torch.equal(one.levels[level], other.levels[level]) for level in one.levels)
    assert (one.labels is None) == (other.labels is None)
    assert one.labels is None or torch.equal(one.labels, other.labels)


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Set keys of the manifest; a key given as None is left out."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def refusal(folder: Path) -> str:
    with pytest.raises(SplatsegError) as caught:
        load_scene(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("labels", [False, True])
def test_what_is_saved_is_loaded(tmp_path, make_scene, labels):
    scene = make_scene(labels=labels)
    save_scene(tmp_path / "out" / "scene", scene)
    assert_same(load_scene(tmp_path / "out" / "scene"), scene)
    files = FILES | ({"labels.safetensors"} if labels else set())
    assert set(os.listdir(tmp_path / "out" / "scene")) == files


def test_levels_are_saved_and_chosen(tmp_path, make_scene):
    scene = make_scene(part=torch.eye(5, 16), subpart=torch.ones(5, 16))
    save_scene(tmp_path, scene)
    loaded = load_scene(tmp_path)
    assert_same(loaded, scene)
    assert list(loaded.levels) == ["part", "subpart"]
    coarse = replace(loaded, levels={"part": scene.levels["part"]})
    for found, features in (
        (loaded.at("whole"), scene.gaussians.features),
        (loaded.at("part"), scene.levels["part"]),
        (coarse.at("subpart"), scene.levels["part"]),
    ):
        assert torch.equal(found.gaussians.features, features)
        assert torch.equal(found.gaussians.means, scene.gaussians.means)
    with pytest.raises(SplatsegError, match="no level part, only whole objects"):
        make_scene().at("part")


def test_the_files_are_what_other_tools_expect(tmp_path, make_scene):
    scene = make_scene()
    save_scene(tmp_path, scene)
    assert torch.equal(read_ply(tmp_path / "scene.ply").means, scene.gaussians.means)
    tensors, _ = read_tensors(tmp_path / "features.safetensors")
    assert torch.equal(tensors["features"], scene.gaussians.features.half())
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["contrastive"] == {"weight": 1e-6}
    assert set(manifest["files"]) == {"scene.ply", "features.safetensors"}
    assert set(manifest) > {"splatseg", "metrics", "frames"}
    expected = {"format": "splatseg scene", "schema": 1, "gaussians": 5, "capture": "../Küche"}
    assert expected.items() <= manifest.items()


def test_a_new_scene_replaces_the_old_and_leaves_the_rest(tmp_path, make_scene):
    save_scene(tmp_path, make_scene(labels=True))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step_100.safetensors").write_bytes(b"mine")
    (tmp_path / "note.txt").write_text("mine")
    new = make_scene(seed=1, count=3)
    save_scene(tmp_path, new)
    assert_same(load_scene(tmp_path), new)
    assert set(os.listdir(tmp_path)) == FILES | {"checkpoints", "note.txt"}
    assert (tmp_path / "checkpoints" / "step_100.safetensors").read_bytes() == b"mine"


def test_labels_and_metrics_are_added_without_touching_the_gaussians(tmp_path, make_scene):
    scene = make_scene()
    save_scene(tmp_path, scene)
    before = (tmp_path / "scene.ply").stat()
    labels = torch.tensor([0, 3, 3, 0, 1], dtype=torch.int32)
    save_labels(tmp_path, labels)
    add_metrics(tmp_path, {"click": {"miou": 0.9}})
    add_metrics(tmp_path, {"psnr": 25.0})
    metrics = {"psnr": 25.0, "click": {"miou": 0.9}}
    assert_same(load_scene(tmp_path), replace(scene, labels=labels, metrics=metrics))
    after = (tmp_path / "scene.ply").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_folder_that_is_no_scene_is_refused(tmp_path):
    assert "is not a scene: it does not exist" in refusal(tmp_path / "gone")
    sentence = "it has no manifest.json; expected a folder that `splatseg train` wrote"
    assert sentence in refusal(tmp_path)
    (tmp_path / "scene.ply").touch()
    assert "is not a scene" in refusal(tmp_path / "scene.ply")
    with pytest.raises(SplatsegError, match="is not a scene"):
        add_metrics(tmp_path, {})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"format": "fvdb"}, "is not the manifest of a splatseg scene"),
        ({"schema": 3}, "newer splatseg (schema 3, this one reads up to 1): update splatseg"),
        ({"schema": "one"}, "is damaged (invalid literal"),
        ({"frames": None}, "is damaged (no 'frames')"),
        ({"frames": [{"name": "0001"}]}, "is damaged (no 'camera')"),
        ({"frames": 5}, "is damaged ("),
        ({"config": 5}, "is damaged ("),
        ({"files": {}}, "lists no scene.ply"),
        *((data, "is not valid JSON (") for data in (b"", b"{", b"\xff\xfe\x00", b'{"format": ')),
        (b"[]", "is not the manifest of a splatseg scene"),
    ],
)
def test_another_manifest_is_refused(tmp_path, make_scene, damage, sentence):
    save_scene(tmp_path, make_scene())
    if isinstance(damage, bytes):
        (tmp_path / "manifest.json").write_bytes(damage)
    else:
        edit_manifest(tmp_path, **damage)
    assert sentence in refusal(tmp_path)


@pytest.mark.parametrize("name", ["scene.ply", "features.safetensors", "labels.safetensors"])
def test_a_changed_or_missing_file_is_named(tmp_path, make_scene, name):
    save_scene(tmp_path, make_scene(labels=True))
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert f"{path} is not the file that was saved (its checksum differs)" in refusal(tmp_path)
    path.unlink()
    assert f"{path} does not exist" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"features": torch.zeros(4, 16)}, "has 4 rows for the 5 Gaussians of scene.ply"),
        ({"other": torch.zeros(5, 16)}, "has no tensor features; found other"),
    ],
)
def test_features_that_do_not_fit_are_refused(tmp_path, make_scene, tensors, sentence):
    save_scene(tmp_path, make_scene())
    write_tensors(tmp_path / "features.safetensors", tensors, {})
    checksum = hashlib.sha256((tmp_path / "features.safetensors").read_bytes()).hexdigest()
    files = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["files"]
    edit_manifest(tmp_path, files=files | {"features.safetensors": checksum})
    assert sentence in refusal(tmp_path)


def test_what_cannot_be_saved_changes_nothing(tmp_path, make_scene):
    save_scene(tmp_path, make_scene())
    bad = make_scene(seed=1)
    bad.gaussians.features[3, 2] = torch.nan
    with pytest.raises(SplatsegError, match="1 of 5 Gaussians have NaN or infinity in features"):
        save_scene(tmp_path, bad)
    with pytest.raises(SplatsegError, match="has 4 rows for the 5 Gaussians"):
        save_labels(tmp_path, torch.zeros(4, dtype=torch.int64))
    assert_same(load_scene(tmp_path), make_scene())
    assert set(os.listdir(tmp_path)) == FILES


def test_a_file_that_cannot_be_moved_out_is_told_and_the_new_scene_counts(
    tmp_path, make_scene, monkeypatch
):
    save_scene(tmp_path, make_scene())
    real = os.replace

    def replace_but_not_the_ply(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "scene.ply":
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_but_not_the_ply)
    with pytest.raises(SplatsegError, match=r"is saved, but .*Permission denied"):
        save_scene(tmp_path, make_scene(seed=1))
    assert_same(load_scene(tmp_path), make_scene(seed=1))
    monkeypatch.undo()
    add_metrics(tmp_path, {"psnr": 1.0})
    assert_same(load_scene(tmp_path), replace(make_scene(seed=1), metrics={"psnr": 1.0}))
    assert set(os.listdir(tmp_path)) == FILES


def test_a_kill_at_any_step_leaves_the_old_scene_or_the_new(tmp_path, make_scene, dying_disk):
    old, new, other = make_scene(labels=True), make_scene(seed=1, count=3), make_scene(seed=2)
    outcomes: list[bool] = []  # whether the new scene is there, after each count of steps
    finished = False
    while not finished:
        folder = tmp_path / str(len(outcomes))
        save_scene(folder, old)
        dying_disk.plug_in(len(outcomes))
        with suppress(Killed):
            save_scene(folder, new)
            finished = True
        dying_disk.unplug()
        found = load_scene(folder)
        outcomes.append(len(found.gaussians) == len(new.gaussians))
        assert_same(found, new if outcomes[-1] else old)
        save_scene(folder, other)
        assert_same(load_scene(folder), other)
        assert set(os.listdir(folder)) == FILES
    assert outcomes == sorted(outcomes)  # old, old, ..., new, new: it happens at one moment
    assert set(outcomes) == {False, True}
