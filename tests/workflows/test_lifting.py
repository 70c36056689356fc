import functools
import shutil
from pathlib import Path

import pytest
import torch
from builders.progress import At

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.evaluation import find_protocol
from splatseg.lifting.config import LiftConfig
from splatseg.scene import load_scene, write_ply
from splatseg.workflows.lifting import lift

FEW_STEPS = LiftConfig(steps=10)
MIN_CLICK_MIOU = 0.85


lift_onto = functools.partial(lift, device="cpu")


def test_a_ply_gets_features_and_keeps_its_gaussians(
    trained_folder: Path, synthetic, tmp_path: Path
) -> None:
    source, target = trained_folder / "scene.ply", tmp_path / "lifted"
    lift_onto(source, synthetic.root, target, config=LiftConfig(steps=150))
    before, after = load_scene(trained_folder), load_scene(target)
    assert torch.equal(before.gaussians.means, after.gaussians.means)
    assert torch.equal(before.gaussians.sh, after.gaussians.sh)
    assert after.gaussians.features.shape == (len(before.gaussians), 16)
    assert after.config["lifted_onto"] == str(source.resolve())
    report = find_protocol("click").run(after, load_capture(synthetic.root)).report
    assert report["miou"] > MIN_CLICK_MIOU


def test_a_scene_is_replaced_only_by_restart_and_not_by_a_canceled_lifting(
    scene_copy: Path, synthetic
) -> None:
    with pytest.raises(SplatsegError, match=r"holds a scene already; .*`restart`"):
        lift_onto(scene_copy, synthetic.root, scene_copy)
    before = (scene_copy / "features.safetensors").read_bytes()
    options = {"restart": True, "config": FEW_STEPS}
    with pytest.raises(KeyboardInterrupt):
        stop = At(stage="training features", done=5)
        lift_onto(scene_copy, synthetic.root, scene_copy, progress=stop, **options)
    assert (scene_copy / "features.safetensors").read_bytes() == before
    lift_onto(scene_copy, synthetic.root, scene_copy, **options)
    assert (scene_copy / "features.safetensors").read_bytes() != before


def test_what_cannot_be_lifted_is_refused(
    trained_folder: Path, capture_copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.ply").write_text("hello")
    gaussians = load_scene(trained_folder).gaussians
    gaussians.means.add_(1000.0)
    write_ply(tmp_path / "far.ply", gaussians)
    target = tmp_path / "lifted"
    for scene, sentence in (("notes.ply", "notes.ply"), ("far.ply", "no training photo sees")):
        with pytest.raises(SplatsegError, match=sentence):
            lift_onto(tmp_path / scene, capture_copy, target)
    shutil.rmtree(capture_copy / "masks")
    with pytest.raises(SplatsegError, match="masks"):
        lift_onto(trained_folder, capture_copy, target)
    assert not target.exists()


def test_the_papers_losses_lift_whole_objects_only(
    trained_folder: Path, synthetic, tmp_path: Path
) -> None:
    options = {"preset": "paper", "iterations": 100, "features": 8}
    result = lift_onto(trained_folder, synthetic.root, tmp_path, **options)
    lifted = load_scene(tmp_path)
    assert lifted.gaussians.features.shape[1] == 8 and lifted.config["iterations"] == 100
    assert result.levels == ("whole",) and not lifted.levels
