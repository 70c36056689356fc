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
from splatseg.workflows.lifting import LiftResult, lift

FEW_STEPS = LiftConfig(steps=10)
MIN_CLICK_MIOU = 0.85


def lift_onto(scene: Path, capture: Path, target: Path, **options) -> LiftResult:
    return lift(scene, capture, target, device="cpu", **options)


def test_a_ply_gets_features_and_keeps_its_gaussians(
    trained_folder: Path, synthetic, tmp_path: Path
) -> None:
    source, target = trained_folder / "scene.ply", tmp_path / "lifted"
    result = lift_onto(source, synthetic.root, target, config=LiftConfig(steps=150))
    before, after = load_scene(trained_folder), load_scene(target)
    assert torch.equal(before.gaussians.means, after.gaussians.means)
    assert torch.equal(before.gaussians.sh, after.gaussians.sh)
    assert after.gaussians.features.shape == (len(before.gaussians), 16)
    assert after.config["lifted_onto"] == str(source.resolve())
    assert result.to_json() == {
        "scene": str(target),
        "levels": ["whole", *after.levels],
        "seconds": after.metrics["lifting"]["seconds"],
        "gaussians": len(after.gaussians),
    }
    report = find_protocol("click").run(after, load_capture(synthetic.root)).report
    assert report["miou"] > MIN_CLICK_MIOU


def test_a_scene_folder_and_its_ply_give_the_same(
    trained_folder: Path, synthetic, tmp_path: Path
) -> None:
    for name, source in (("a", trained_folder), ("b", trained_folder / "scene.ply")):
        lift_onto(source, synthetic.root, tmp_path / name, config=FEW_STEPS, features=8)
    a, b = load_scene(tmp_path / "a"), load_scene(tmp_path / "b")
    assert torch.equal(a.gaussians.features, b.gaussians.features)
    assert a.gaussians.features.shape[1] == 8


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
    result = lift_onto(trained_folder, synthetic.root, tmp_path, preset="paper", iterations=100)
    lifted, source = load_scene(tmp_path), load_scene(trained_folder)
    assert lifted.gaussians.features.shape == (len(source.gaussians), 16)
    assert result.levels == ("whole",) and not lifted.levels
    assert lifted.config["iterations"] == 100
