"""One training iteration: Eq. 5 of arXiv:2404.12784, and what follows it.

The losses that are due, by default the rendering loss every iteration, the contrastive loss (Eq. 3)
every 50, the regularizer (Eq. 4) every 100; then Adam; then density control.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from splatseg.capture import Frame
from splatseg.engine.adam import Moments
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.losses.term import LossInputs, LossTerm
from splatseg.render import project
from splatseg.training.config import TrainConfig
from splatseg.training.density import DensityStatistics, densify, reset_opacities
from splatseg.training.optimization import apply_deferred_steps, step_features, step_geometry
from splatseg.training.randomness import generator
from splatseg.training.state import TrainState
from splatseg.training.views import TrainingViews


def train_step(
    state: TrainState,
    views: TrainingViews,
    config: TrainConfig,
    terms: Sequence[LossTerm],
) -> float:
    """Advance `state` by one iteration; the total loss.

    Raises:
        SplatsegError: the loss is not finite; `state` is as it was.
    """
    iteration = state.iteration + 1
    due = [term for term in terms if term.is_due(iteration)]
    if any(term.reads_features for term in due):
        apply_deferred_steps(state, config)
    inputs = _step_inputs(state, views, config)
    losses = [term(inputs) for term in due]
    total = sum(loss.item() for loss in losses)
    _refuse_infinite(total, iteration, inputs.frame)
    center_grad = _backpropagate(due, losses, inputs.projected.means2d)
    state.iteration = iteration
    _optimize(state, inputs.gaussians, config, views.capture.extent)
    if iteration < config.density.stop * config.iterations:
        camera = inputs.frame.camera
        size = (camera.width, camera.height)
        state.statistics.add(center_grad, inputs.projected.visible, size)
        _control_density(state, config, views.capture.extent)
    return total


def _step_inputs(state: TrainState, views: TrainingViews, config: TrainConfig) -> LossInputs:
    """The next iteration's frame and the Gaussians in it, as leaves."""
    iteration = state.iteration + 1
    frame = views.frame_at(state.iteration)
    leaves = {n: t.detach().requires_grad_() for n, t in state.gaussians.tensors().items()}
    gaussians = Gaussians(**leaves)
    degree = min(config.appearance.sh_degree, iteration // config.appearance.sh_interval)
    projected = project(gaussians, frame.camera, sh_degree=degree, buffers=state.buffers)
    projected.means2d.retain_grad()
    random = partial(generator, config.seed, step=iteration)
    return LossInputs(iteration, gaussians, projected, frame, views, random)


def _refuse_infinite(loss: float, iteration: int, frame: Frame) -> None:
    if not math.isfinite(loss):
        raise SplatsegError(
            f"the loss is {loss} at iteration {iteration} (frame {frame.name})",
            remedy="lower the learning rates, or check that photo and its pose",
        )


def _backpropagate(terms: Sequence[LossTerm], losses: Sequence[Tensor], means2d: Tensor) -> Tensor:
    """Backpropagate the losses; the projected centers' gradient that density control counts."""
    counted, others = means2d.new_zeros(()), means2d.new_zeros(())
    for term, loss in zip(terms, losses, strict=True):
        if term.to_density:
            counted = counted + loss
        else:
            others = others + loss
    if counted.requires_grad:
        counted.backward(retain_graph=others.requires_grad)
    center_grad = torch.zeros_like(means2d) if means2d.grad is None else means2d.grad
    if others.requires_grad:
        center_grad = center_grad.clone()
        others.backward()
    return center_grad


def _optimize(state: TrainState, leaves: Gaussians, config: TrainConfig, extent: float) -> None:
    """One Adam step of every field."""
    grads = {name: leaf.grad for name, leaf in leaves.tensors().items()}
    step_geometry(state, grads, config, extent)
    step_features(state, grads["features"], config)
    state.buffers.give_back(grad for grad in grads.values() if grad is not None)


def _control_density(state: TrainState, config: TrainConfig, extent: float) -> None:
    settings = config.density
    reset_interval = max(1, round(settings.reset_interval * config.iterations))
    if state.iteration < settings.start:
        return
    if state.iteration % settings.interval == 0:
        apply_deferred_steps(state, config)
        _densify(state, config, extent, prune_large=state.iteration > reset_interval)
    may_reset = state.iteration <= settings.reset_stop * config.iterations
    if may_reset and state.iteration % reset_interval == 0:
        state.gaussians.logit_opacities.copy_(reset_opacities(state.gaussians.logit_opacities))
        state.moments["logit_opacities"] = Moments.zeros_like(state.gaussians.logit_opacities)


def _densify(state: TrainState, config: TrainConfig, extent: float, prune_large: bool) -> None:
    """A round of density control; the moments go with their Gaussians."""
    result = densify(
        state.gaussians,
        state.statistics,
        config.density,
        extent=extent,
        max_gaussians=config.max_gaussians,
        prune_large=prune_large,
        generator=generator(config.seed, "split", state.iteration),
    )
    state.gaussians = result.gaussians
    state.moments = {
        name: moments.reindexed(result.source, result.is_new)
        for name, moments in state.moments.items()
    }
    state.statistics = DensityStatistics.zeros(len(state.gaussians), state.gaussians.means.device)
