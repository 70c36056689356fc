"""One training step: its loss terms, what their gradients reach, and the features' Adam steps."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.geometry import Gaussians
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
        config: TrainConfig, count: int, root: Path = synthetic.root, extra: Sequence[LossTerm] = ()
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


def same_geometry(one: Gaussians, other: Gaussians) -> bool:
    return all(torch.equal(one.tensors()[name], other.tensors()[name]) for name in GEOMETRY)


def test_the_terms_are_equation_5(config: Config) -> None:
    every = {(term.name, term.interval) for term in loss_terms(config("paper", **BUSY))}
    assert every == {("photometric", 1), ("contrastive", 3), ("spatial", 5)}
    assert [term.name for term in loss_terms(config("rgb"))] == ["photometric"]
    off = config("paper", spatial={"near_weight": 0.0, "far_weight": 0.0})
    assert [t.name for t in loss_terms(off) if t.is_due(30)] == ["photometric", "contrastive"]


def test_a_loss_is_added_by_one_entry(config: Config, run_steps) -> None:
    """Toy losses of features and of opacities move those and nothing that they do not reach."""
    run = config("paper", contrastive={"interval": 1000}, spatial={"interval": 1000})

    def steps(loss: Callable[..., torch.Tensor], **options: Any) -> Gaussians:
        return run_steps(run, 3, extra=[LossTerm("toy", loss, **options)]).gaussians

    plain = run_steps(run, 3).gaussians
    far = lambda inputs: inputs.gaussians.means.sum() * 1e6  # noqa: E731
    features = steps(lambda inputs: inputs.gaussians.features.square().sum())
    late = steps(lambda inputs: inputs.gaussians.features.sum(), interval=4)
    faint = steps(lambda i: i.gaussians.opacities.sum(), weight=10.0, reads_features=False)
    frozen, off = steps(far, to_geometry=False), steps(far, weight=0.0)
    assert features.features.square().sum() < plain.features.square().sum()
    assert faint.opacities.mean() < plain.opacities.mean()
    for index, found in enumerate((features, late, frozen, off)):
        assert same_geometry(found, plain), index
    for index, found in enumerate((late, faint, frozen, off)):
        assert torch.equal(found.features, plain.features), index


def test_to_geometry_off_leaves_the_geometry_of_an_rgb_run(config: Config, run_steps) -> None:
    groups = {k: BUSY[k] for k in ("iterations", "appearance", "density")}
    rgb = run_steps(config("rgb", **groups), 28)
    apart, joint = (
        run_steps(config("paper", **BUSY | {"contrastive": {"interval": 3, "to_geometry": to}}), 28)
        for to in (False, True)
    )
    assert same_geometry(apart.gaussians, rgb.gaussians)
    assert not same_geometry(joint.gaussians, rgb.gaussians)
    assert len(rgb.gaussians) > len(run_steps(config("rgb"), 0).gaussians), "no density round"

    def gradients(**settings: Any) -> torch.Tensor:
        heavy = {"interval": 1, "weight": 1e-3} | settings  # so that its part shows
        return run_steps(config("paper", contrastive=heavy), 1).statistics.gradient_sum

    assert torch.equal(gradients(to_density=False), gradients(weight=0.0))
    assert not torch.equal(gradients(), gradients(weight=0.0))


@pytest.mark.parametrize(
    ("adam", "counts"), [("on_gradient", [0, 0, 1, 1]), ("every_iteration", [0, 3, 4, 7])]
)
def test_features_step_at_a_loss_and_by_momentum_in_between(
    adam: str, counts: list[int], config: Config, run_steps
) -> None:
    run = config("paper", contrastive={"interval": 4, "adam": adam}, spatial={"interval": 1000})
    states = [run_steps(run, count) for count in (0, 3, 4, 7)]
    assert [state.feature_step for state in states] == counts
    start, before, at, after = (state.gaussians.features for state in states)
    assert torch.equal(before, start) and not torch.equal(at, start)
    assert torch.equal(at, after) == (adam == "on_gradient")


def test_frames_without_masks_train_appearance_only(capture_copy, config, run_steps) -> None:
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
