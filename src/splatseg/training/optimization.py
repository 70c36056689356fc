"""The Adam steps of a run: every field's learning rates, and features' deferred steps.

Features get a gradient only now and then. In between their momentum decays and still moves them;
these idle steps are deferred and taken in one go when features are read.
"""

import torch
from torch import Tensor

from splatseg.engine.adam import adam_steps
from splatseg.training.config import TrainConfig
from splatseg.training.state import TrainState

SH_REST_FRACTION = 1 / 20  # of the base color's learning rate, for view-dependent color (3DGS)
GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")


def step_geometry(
    state: TrainState, grads: dict[str, Tensor | None], config: TrainConfig, extent: float
) -> None:
    """One Adam step of every field but the features; without a gradient, an idle one."""
    rates = learning_rates(state.iteration, config, extent, state.gaussians.sh.shape[1])
    parameters = state.gaussians.tensors()
    for name in GEOMETRY:
        adam_steps(
            *(parameters[name], grads[name], state.moments[name]), rates[name], state.iteration
        )


def step_features(state: TrainState, grad: Tensor | None, config: TrainConfig) -> None:
    """One Adam step of the features; without a gradient it is deferred."""
    if grad is None:
        return
    state.feature_step += 1
    adam_steps(
        *(state.gaussians.features, grad, state.moments["features"]),
        *(_feature_rates(state, config), state.feature_step),
    )


def apply_deferred_steps(state: TrainState, config: TrainConfig) -> None:
    """Take the idle Adam steps of the features that are still due."""
    idle = state.iteration - state.feature_step
    if config.contrastive.adam == "on_gradient" or idle == 0:
        return
    adam_steps(
        *(state.gaussians.features, None, state.moments["features"]),
        *(_feature_rates(state, config), state.feature_step + 1, idle),
    )
    state.feature_step = state.iteration


def learning_rates(
    iteration: int, config: TrainConfig, extent: float, sh_count: int
) -> dict[str, Tensor]:
    """Learning rates of the geometry fields, one entry per element of a row.

    Positions' falls log-linearly over the run and grows with the scene's `extent` (world units).
    """
    settings = config.appearance
    fraction = iteration / config.iterations
    means_lr = settings.means_lr ** (1 - fraction) * settings.means_lr_final**fraction
    sh = torch.full((sh_count, 3), settings.sh_lr * SH_REST_FRACTION)
    sh[0] = settings.sh_lr
    return {
        "means": torch.full((3,), means_lr * extent),
        "quats": torch.full((4,), settings.rotation_lr),
        "log_scales": torch.full((3,), settings.scale_lr),
        "logit_opacities": torch.full((1,), settings.opacity_lr),
        "sh": sh.flatten(),
    }


def _feature_rates(state: TrainState, config: TrainConfig) -> Tensor:
    return torch.full((state.gaussians.features.shape[1],), config.contrastive.feature_lr)
