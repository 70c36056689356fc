"""One training step: its loss terms, what their gradients reach, and the features' Adam steps."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.losses import LossTerm
from splatseg.masks import open_masks
from splatseg.training import TrainConfig
from splatseg.training.optimization import GEOMETRY, apply_deferred_steps
from splatseg.training.state import TrainState
from splatseg.training.step import train_step
from splatseg.training.terms import loss_terms
from splatseg.training.trainer import first_state
from splatseg.training.views import TrainingViews

Config = Callable[..., TrainConfig]

# Density rounds, opacity resets, a degree of color, idle steps.
BUSY: dict[str, Any] = {
    "iterations": 30,
    "appearance": {"sh_interval": 9},
    "density": {"start": 8, "interval": 7, "stop": 0.9, "reset_interval": 0.4, "reset_stop": 1.0},
    "contrastive": {"interval": 3},
    "spatial": {"interval": 5},
}


@pytest.fixture
def run_steps(synthetic) -> Callable[..., TrainState]:
    """The state after so many steps of a configuration."""

    def run(
        config: TrainConfig,
        count: int,
        root: Path = synthetic.root,
        extra: Sequence[LossTerm] = (),
    ) -> TrainState:
        capture = load_capture(root)
        masks = open_masks(root, None, [frame.name for frame in capture.frames])
        views = TrainingViews(capture, masks, config.contrastive, config.seed)
        state = first_state(capture, config)
        for _ in range(count):
            train_step(state, views, config, (*loss_terms(config), *extra))
        apply_deferred_steps(state, config)
        return state

    return run


def same_geometry(one: TrainState, other: TrainState) -> bool:
    a, b = one.gaussians.tensors(), other.gaussians.tensors()
    return all(torch.equal(a[name], b[name]) for name in GEOMETRY)


def test_the_terms_are_equation_5(config: Config) -> None:
    every = {(term.name, term.interval) for term in loss_terms(config("paper", **BUSY))}
    assert every == {("photometric", 1), ("contrastive", 3), ("spatial", 5)}
    assert [term.name for term in loss_terms(config("rgb"))] == ["photometric"]
    off = config("paper", spatial={"near_weight": 0.0, "far_weight": 0.0})
    assert [t.name for t in loss_terms(off) if t.is_due(30)] == ["photometric", "contrastive"]


def test_a_loss_is_added_by_one_entry(config: Config, run_steps) -> None:
    """Toy losses of features and of opacities move those and nothing that they do not reach."""
    run = config("paper", contrastive={"interval": 1000}, spatial={"interval": 1000})
    toys = {
        "features": LossTerm("toy", lambda inputs: inputs.gaussians.features.square().sum()),
        "late": LossTerm("toy", lambda inputs: inputs.gaussians.features.sum(), interval=4),
        "opacities": LossTerm(
            "toy",
            lambda inputs: inputs.gaussians.opacities.sum(),
            weight=10.0,
            reads_features=False,
        ),
        "frozen": LossTerm(
            "toy", lambda inputs: inputs.gaussians.means.sum() * 1e6, to_geometry=False
        ),
        "off": LossTerm("toy", lambda inputs: inputs.gaussians.means.sum() * 1e6, weight=0.0),
    }
    plain = run_steps(run, 3)
    found = {name: run_steps(run, 3, extra=[toy]) for name, toy in toys.items()}
    small = found["features"].gaussians.features.square().sum()
    assert small < plain.gaussians.features.square().sum()
    assert found["opacities"].gaussians.opacities.mean() < plain.gaussians.opacities.mean()
    for name in ("features", "late", "frozen", "off"):
        assert same_geometry(found[name], plain), name
    for name in ("late", "opacities", "frozen", "off"):
        assert torch.equal(found[name].gaussians.features, plain.gaussians.features), name


def test_density_control_counts_the_terms_that_say_so(config: Config, run_steps) -> None:
    def gradients(**settings: Any) -> torch.Tensor:
        heavy = {"interval": 1, "weight": 1e-3} | settings  # so that its part shows
        return run_steps(config("paper", contrastive=heavy), 1).statistics.gradient_sum

    without = gradients(weight=0.0)
    assert torch.equal(gradients(to_density=False), without)
    assert not torch.equal(gradients(), without)


def test_to_geometry_off_leaves_the_geometry_of_an_rgb_run(config: Config, run_steps) -> None:
    groups = {k: BUSY[k] for k in ("iterations", "appearance", "density")}
    rgb = run_steps(config("rgb", **groups), 28)
    apart, joint = (
        run_steps(config("paper", **BUSY | {"contrastive": {"interval": 3, "to_geometry": to}}), 28)
        for to in (False, True)
    )
    assert same_geometry(apart, rgb)
    assert not same_geometry(joint, rgb)
    assert len(rgb.gaussians) > len(run_steps(config("rgb"), 0).gaussians), "no density round"


@pytest.mark.parametrize("adam", ["on_gradient", "every_iteration"])
def test_features_step_at_a_loss_and_by_momentum_in_between(
    adam: str, config: Config, run_steps
) -> None:
    run = config("paper", contrastive={"interval": 4, "adam": adam}, spatial={"interval": 1000})
    start, before, at, after = (run_steps(run, count) for count in (0, 3, 4, 7))
    idle = adam == "every_iteration"
    assert (before.feature_step, at.feature_step, after.feature_step) == (
        (3, 4, 7) if idle else (0, 1, 1)
    )
    assert torch.equal(before.gaussians.features, start.gaussians.features)
    assert not torch.equal(at.gaussians.features, start.gaussians.features)
    assert torch.equal(at.gaussians.features, after.gaussians.features) != idle


def test_frames_without_masks_train_appearance_only(
    capture_copy: Path, config: Config, run_steps
) -> None:
    masks = capture_copy / "masks" / "noisy"
    for path in sorted(masks.iterdir())[1:]:
        path.unlink()
    (masks / "view_0.json").rename(masks / "view_2.json")  # one training view still has some
    run = config("paper", contrastive={"interval": 1, "adam": "on_gradient"})
    state = run_steps(run, 8, capture_copy)  # an epoch
    assert state.feature_step == 1
    assert all(torch.isfinite(tensor).all() for tensor in state.gaussians)


def test_a_loss_that_is_no_number_names_the_frame(config: Config, run_steps) -> None:
    broken = LossTerm("broken", lambda inputs: inputs.gaussians.means.sum() * float("nan"))
    with pytest.raises(SplatsegError, match=r"the loss is nan at iteration 1 \(frame view_"):
        run_steps(config(), 1, extra=[broken])


def test_opacities_are_reset_while_they_may_be(config: Config, run_steps) -> None:
    density = {"start": 3, "interval": 100, "stop": 1.0}
    density |= {"reset_interval": 0.5, "reset_stop": 0.5}
    run = config("rgb", iterations=10, density=density)
    kept = dataclasses.replace(run, density=dataclasses.replace(run.density, reset_stop=0.1))
    assert run_steps(run, 5).gaussians.opacities.max() <= 0.0101
    assert run_steps(kept, 5).gaussians.opacities.max() > 0.05
