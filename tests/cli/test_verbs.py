"""Every verb on the synthetic scene: exit status, files, and one JSON object with `--json`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.progress import At
from PIL import Image

from splatseg.cli import main
from splatseg.scene import load_scene
from splatseg.segmentation.connected_components import FLOATER

MIN_PICK_IOU = 0.7  # of the red ball in the view that is clicked; seeds 0 to 2 have 0.99

Json = Callable[..., dict[str, Any]]


@pytest.fixture
def run_json(capsys: pytest.CaptureFixture[str]) -> Json:
    """Run a command with --json: the one object that stdout holds."""

    def run(*arguments: object) -> dict[str, Any]:
        assert main([*map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_train_writes_a_scene_beside_the_photos(capture_copy: Path, capsys) -> None:
    assert (
        main(["train", str(capture_copy), "--iterations", "4", "--contrastive.interval", "2"]) == 0
    )
    shown = capsys.readouterr().out
    assert "8 training photos at 96x72, 2 held out" in shown and "masks noisy" in shown
    scene = capture_copy / "splatseg"
    assert f"next: splatseg cluster {scene}" in shown
    assert {"scene.ply", "features.safetensors", "manifest.json"} <= set(os.listdir(scene))
    assert load_scene(scene).config["contrastive"]["interval"] == 2


def test_train_json(capture_copy: Path, tmp_path: Path, run_json: Json) -> None:
    command = ("train", capture_copy, "-o", tmp_path / "out", "--preset", "rgb", "--iterations", 5)
    result = run_json(*command)
    assert list(result) == ["scene", "seconds", "gaussians"]
    assert result["scene"] == str(tmp_path / "out")
    assert result["gaussians"] == len(load_scene(tmp_path / "out").gaussians)
    assert not (capture_copy / "splatseg").exists()
    assert run_json(*command) == result


def test_train_says_what_it_found_and_how_to_go_on(
    capture_copy: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", str(capture_copy), "--preset=rgb", "--iterations", "3"]
    stopped = At(stage="training", done=2)
    with monkeypatch.context() as patch:
        patch.setattr("splatseg.cli.output.ProgressBar.update", lambda _, *at: stopped.update(*at))
        assert main(command) == 130
    assert "progress is saved in" in capsys.readouterr().out
    assert main([*command, "--seed", "5"]) == 2
    assert "unfinished run with other settings (seed was 0, now 5)" in capsys.readouterr().err
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "masks" not in shown and "splatseg cluster" not in shown
    assert main(command) == 0
    assert "is already trained with these settings; --restart" in capsys.readouterr().out


def test_a_poses_file_takes_the_place_of_the_captures_own(capture_copy: Path, run_json) -> None:
    (capture_copy / "transforms.json").rename(capture_copy / "mine.json")
    poses = capture_copy / "mine.json"
    run_json("train", capture_copy, "--poses", poses, "--preset", "rgb", "--iterations", 2)


@pytest.fixture
def red_click(synthetic) -> tuple[str, np.ndarray]:
    """--at for the middle of the red ball, and its true mask there."""
    x, y = synthetic.click(1, "view_0")
    return f"view_0:{x},{y}", synthetic.truth["view_0"] == 1


def test_cluster_and_render_in_turn(scene_copy: Path, run_json: Json) -> None:
    found = run_json("cluster", scene_copy)
    objects = json.loads((scene_copy / "objects.json").read_text())["objects"]
    assert found["objects"] == objects and len(objects) >= 3
    labels = load_scene(scene_copy).labels
    assert labels is not None
    counts = torch.bincount(labels.clamp_min(0))
    assert [row["gaussians"] for row in objects] == counts[1:].tolist()
    assert found["floaters"] == int((labels == FLOATER).sum())
    assert found["unassigned"] + found["floaters"] == int(counts[0])
    assert (scene_copy / "clusters.png").is_file()
    assert (scene_copy / "objects.png").is_file()
    thumbnails = {path.name for path in (scene_copy / "objects").iterdir()}
    assert thumbnails == {f"{row['id']}.png" for row in objects}

    rendered = run_json("render", scene_copy)
    assert rendered["views"] == 2
    for kind in ("photo", "color", "features", "clusters"):
        folder = scene_copy / "renders" / kind
        assert {path.name for path in folder.iterdir()} == {"view_1.png", "view_7.png"}
    with Image.open(rendered["contact_sheet"]) as sheet:
        assert sheet.width > 4 * 400


def test_people_read_how_many_objects_there_are(scene_copy: Path, capsys) -> None:
    assert main(["cluster", str(scene_copy)]) == 0
    assert "3 objects, and 1 of the background;" in capsys.readouterr().out
