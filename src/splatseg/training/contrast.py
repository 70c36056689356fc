"""The paper's feature losses on a scene whose geometry is done, its schedule kept.

For splats that come from elsewhere, and to compare losses: what Eq. 3 and Eq. 4 do to features can
be seen without training the appearance again. Unlike in a joint run, features begin when all
Gaussians are there: none is a copy of its parent's.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.engine.adam import adam_steps
from splatseg.engine.threads import torch_threads
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import project
from splatseg.training.config import TrainConfig
from splatseg.training.initialize import first_features
from splatseg.training.randomness import generator
from splatseg.training.state import TrainState
from splatseg.training.step import (
    apply_deferred_steps,
    contrastive_term,
    feature_rates,
    is_due,
    spatial_term,
)
from splatseg.training.views import TrainingViews


def contrast_features(
    gaussians: Gaussians,
    views: TrainingViews,
    config: TrainConfig,
    progress: Progress = SILENT,
) -> Float[Tensor, "n f"]:
    """Features after `config.iterations` of Eq. 3 and Eq. 4; a stage."""
    settings = config.contrastive
    rng = generator(config.seed, "features")
    features = first_features(len(gaussians), settings.features, settings.init, rng)
    state = TrainState.start(replace(gaussians, features=features.to(gaussians.means.device)))
    with torch_threads(1):
        for iteration in range(1, config.iterations + 1):
            if _any_is_due(iteration, config):
                progress.update("training features", iteration, config.iterations)
                state.iteration = iteration - 1
                apply_deferred_steps(state, config)
                _feature_step(state, views, config)
    state.iteration = config.iterations
    apply_deferred_steps(state, config)
    return state.gaussians.features


def _any_is_due(iteration: int, config: TrainConfig) -> bool:
    intervals = (config.contrastive.interval, config.spatial.interval)
    return any(is_due(iteration, interval) for interval in intervals)


def _feature_step(state: TrainState, views: TrainingViews, config: TrainConfig) -> None:
    """The next iteration, without rendering loss and density control."""
    frame = views.frame_at(state.iteration)
    state.iteration += 1
    leaf = state.gaussians.features.detach().requires_grad_()
    gaussians = replace(state.gaussians, features=leaf)
    loss = leaf.new_zeros(())
    if is_due(state.iteration, config.contrastive.interval):
        with torch.no_grad():
            view = project(gaussians, frame.camera)
        loss = loss + contrastive_term(gaussians, view, frame, views, config)
    if is_due(state.iteration, config.spatial.interval):
        loss = loss + spatial_term(gaussians, state.iteration, config)
    if not loss.requires_grad:
        return
    loss.backward()
    state.feature_step += 1
    adam_steps(
        *(state.gaussians.features, leaf.grad, state.moments["features"]),
        *(feature_rates(state, config), state.feature_step),
    )
