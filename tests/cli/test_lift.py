import json
import shutil
from pathlib import Path

import pytest
import torch

from splatseg.cli import main
from splatseg.scene import load_scene, write_ply


@pytest.fixture(scope="module")
def capture(synthetic, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lift") / "capture"
    shutil.copytree(synthetic.root, root)
    return root


def lift(source: Path, capture: Path, target: Path, *flags: str) -> int:
    return main(["lift", str(source), str(capture), "-o", str(target), *flags])


def test_a_ply_gets_features_and_keeps_its_gaussians(
    trained_folder, capture, tmp_path, capsys
) -> None:
    target = tmp_path / "lifted"
    assert lift(trained_folder / "scene.ply", capture, target, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scene"] == str(target)
    before, after = load_scene(trained_folder), load_scene(target)
    assert torch.equal(before.gaussians.means, after.gaussians.means)
    assert torch.equal(before.gaussians.sh, after.gaussians.sh)
    assert after.gaussians.features.shape == (len(before.gaussians), 16)
    assert main(["evaluate", str(target), str(capture), "--protocol", "click", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["miou"] > 0.85


def test_a_scene_folder_and_its_ply_give_the_same(trained_folder, capture, tmp_path) -> None:
    assert lift(trained_folder, capture, tmp_path / "a", "--lift.steps", "20") == 0
    assert lift(trained_folder / "scene.ply", capture, tmp_path / "b", "--lift.steps", "20") == 0
    a, b = load_scene(tmp_path / "a"), load_scene(tmp_path / "b")
    assert torch.equal(a.gaussians.features, b.gaussians.features)


def test_a_scene_is_replaced_only_on_request(trained_folder, capture, tmp_path, capsys) -> None:
    target = tmp_path / "lifted"
    shutil.copytree(trained_folder, target)
    assert lift(trained_folder, capture, target) == 2
    assert "--restart" in capsys.readouterr().err
    assert lift(trained_folder, capture, target, "--restart", "--lift.steps", "5") == 0


def test_without_masks_there_is_nothing_to_lift(trained_folder, capture, tmp_path, capsys) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(capture, bare)
    shutil.rmtree(bare / "masks")
    assert lift(trained_folder, bare, tmp_path / "lifted") == 2
    assert "masks" in capsys.readouterr().err
    assert not (tmp_path / "lifted").exists()


def test_what_is_no_splat_is_refused(capture, tmp_path, capsys) -> None:
    path = tmp_path / "notes.ply"
    path.write_text("hello")
    assert lift(path, capture, tmp_path / "lifted") == 2
    assert str(path) in capsys.readouterr().err


def test_a_scene_that_no_photo_sees_is_refused(trained_folder, capture, tmp_path, capsys) -> None:
    gaussians = load_scene(trained_folder).gaussians
    gaussians.means.add_(1000.0)
    write_ply(tmp_path / "far.ply", gaussians)
    assert lift(tmp_path / "far.ply", capture, tmp_path / "lifted") == 2
    assert "poses" in capsys.readouterr().err


def test_the_papers_losses_lift_whole_objects_only(trained_folder, capture, tmp_path) -> None:
    target = tmp_path / "lifted"
    flags = ("--preset", "paper", "--iterations", "200")
    assert lift(trained_folder, capture, target, *flags) == 0
    lifted, source = load_scene(target), load_scene(trained_folder)
    assert lifted.gaussians.features.shape == (len(source.gaussians), 16)
    assert not lifted.levels
    assert lifted.config["iterations"] == 200
