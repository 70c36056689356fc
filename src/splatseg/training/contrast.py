"""The paper's feature losses on a scene whose geometry is done, its schedule kept.

For scenes that come from elsewhere, and to compare losses: what Eq. 3 and Eq. 4 do to features can
be seen without training the appearance again. Unlike in a joint run, features begin when all
Gaussians are there: none is a copy of its parent's.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.engine.threads import torch_threads
from splatseg.geometry.gaussians import Gaussians
from splatseg.losses.term import LossInputs, LossTerm
from splatseg.progress import SILENT, Progress
from splatseg.render import project
from splatseg.training.config import TrainConfig
from splatseg.training.initialize import first_features
from splatseg.training.optimization import apply_deferred_steps, step_features
from splatseg.training.randomness import generator
from splatseg.training.state import TrainState
from splatseg.training.terms import feature_terms
from splatseg.training.views import TrainingViews


def contrast_features(
    gaussians: Gaussians,
    views: TrainingViews,
    config: TrainConfig,
    progress: Progress = SILENT,
) -> Float[Tensor, "n f"]:
    """Features after `config.iterations` of Eq. 3 and Eq. 4; the stage is "training features"."""
    settings = config.contrastive
    rng = generator(config.seed, "features")
    features = first_features(len(gaussians), settings.features, settings.init, rng)
    state = TrainState.start(replace(gaussians, features=features.to(gaussians.means.device)))
    terms = feature_terms(config)
    with torch_threads(1):
        for iteration in range(1, config.iterations + 1):
            due = [term for term in terms if term.is_due(iteration)]
            if due:
                progress.update("training features", iteration, config.iterations)
                state.iteration = iteration - 1
                apply_deferred_steps(state, config)
                _feature_step(state, views, config, due)
    state.iteration = config.iterations
    apply_deferred_steps(state, config)
    return state.gaussians.features


def _feature_step(
    state: TrainState, views: TrainingViews, config: TrainConfig, due: Sequence[LossTerm]
) -> None:
    """The next iteration, of features alone."""
    frame = views.frame_at(state.iteration)
    state.iteration += 1
    leaf = state.gaussians.features.detach().requires_grad_()
    gaussians = replace(state.gaussians, features=leaf)
    with torch.no_grad():
        projected = project(gaussians, frame.camera)
    random = partial(generator, config.seed, step=state.iteration)
    inputs = LossInputs(state.iteration, gaussians, projected, frame, views, random)
    loss = torch.stack([term(inputs) for term in due]).sum()
    if loss.requires_grad:
        loss.backward()
    step_features(state, leaf.grad, config)
