"""One training iteration: Eq. 5 of arXiv:2404.12784, and what follows it.

rendering loss every iteration + contrastive loss (Eq. 3) every 50 + regularizer (Eq. 4) every
100; then Adam; then density control.
"""

import math

import torch
from torch import Tensor

from splatseg.capture import Frame
from splatseg.engine.adam import Moments, adam_steps
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.losses.contrastive import contrastive_loss
from splatseg.losses.photometric import rendering_loss
from splatseg.losses.spatial import spatial_similarity_loss
from splatseg.render import ProjectedGaussians, project, rasterize
from splatseg.training.config import TrainConfig
from splatseg.training.density import DensityStatistics, densify, reset_opacities
from splatseg.training.randomness import generator
from splatseg.training.state import TrainState
from splatseg.training.views import TrainingViews

SH_REST_FRACTION = (
    1 / 20
)  # learning rate of view-dependent color, relative to the base color (3DGS)
GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")


def train_step(
    state: TrainState, views: TrainingViews, config: TrainConfig, extent: float
) -> float:
    """Advance `state` by one iteration; the total loss."""
    iteration = state.iteration + 1
    frame = views.frame_at(state.iteration)
    wants_features = is_due(iteration, config.contrastive.interval) and config.contrasts
    wants_spatial = is_due(iteration, config.spatial.interval) and config.contrasts
    if wants_features or wants_spatial:
        apply_deferred_steps(state, config)

    leaves = {n: t.detach().requires_grad_() for n, t in state.gaussians.tensors().items()}
    gaussians = Gaussians(**leaves)
    degree = _sh_degree(iteration, config)
    view = project(gaussians, frame.camera, sh_degree=degree, buffers=state.buffers)
    view.means2d.retain_grad()
    photo = views.photo(frame).to(gaussians.means.device)
    rendering = rendering_loss(
        rasterize(view, view.colors).image, photo, config.appearance.ssim_weight
    )
    feature_loss = rendering.new_zeros(())
    if wants_features:
        feature_loss = feature_loss + contrastive_term(gaussians, view, frame, views, config)
    if wants_spatial:
        feature_loss = feature_loss + spatial_term(gaussians, iteration, config)
    density_grad = _backward(rendering, feature_loss, view, config)
    loss = rendering.item() + feature_loss.item()
    if not math.isfinite(loss):
        raise SplatsegError(
            f"the loss is {loss} at iteration {iteration} (frame {frame.name})",
            remedy="lower the learning rates, or check that photo and its pose",
        )

    state.iteration = iteration
    grads = {name: leaf.grad for name, leaf in leaves.items()}
    _optimize(state, grads, config, extent)
    state.buffers.give_back(grad for grad in grads.values() if grad is not None)
    if iteration < config.density.stop * config.iterations:
        size = (frame.camera.width, frame.camera.height)
        state.statistics.add(density_grad, view.visible, size)
        _control_density(state, config, extent)
    return loss


def apply_deferred_steps(state: TrainState, config: TrainConfig) -> None:
    """Take the idle Adam steps of the features that are still due."""
    idle = state.iteration - state.feature_step
    if config.contrastive.adam == "on_gradient" or idle == 0:
        return
    adam_steps(
        *(state.gaussians.features, None, state.moments["features"]),
        *(feature_rates(state, config), state.feature_step + 1, idle),
    )
    state.feature_step = state.iteration


def feature_rates(state: TrainState, config: TrainConfig) -> Tensor:
    """Adam's learning rate of each dimension of the feature."""
    return torch.full((state.gaussians.features.shape[1],), config.contrastive.feature_lr)


def is_due(iteration: int, interval: int) -> bool:
    """Whether what happens every `interval` iterations happens in this one."""
    return iteration % interval == 0


def _sh_degree(iteration: int, config: TrainConfig) -> int:
    return min(config.appearance.sh_degree, iteration // config.appearance.sh_interval)


def contrastive_term(
    gaussians: Gaussians,
    view: ProjectedGaussians,
    frame: Frame,
    views: TrainingViews,
    config: TrainConfig,
) -> Tensor:
    """Weighted contrastive loss of this frame; 0 where the frame has no masks."""
    settings = config.contrastive
    view = view if settings.to_geometry else view.detach()
    labels = views.labels(frame)
    if labels is None:
        return gaussians.features.new_zeros(())
    features = rasterize(view, gaussians.features).image
    return settings.weight * contrastive_loss(
        features.flatten(0, 1),
        labels.flatten().to(features.device),
        temperature=settings.temperature,
        min_pixels=settings.min_pixels,
    )


def spatial_term(gaussians: Gaussians, iteration: int, config: TrainConfig) -> Tensor:
    """Weighted regularizer; 0 where it is switched off."""
    settings = config.spatial
    if settings.near_weight == 0 and settings.far_weight == 0:
        return gaussians.features.new_zeros(())
    return spatial_similarity_loss(
        gaussians.means,
        gaussians.features,
        anchors=settings.anchors,
        lambda_near=settings.near_weight,
        lambda_far=settings.far_weight,
        generator=generator(config.seed, "spatial", iteration),
    )


def _backward(
    rendering: Tensor, feature_loss: Tensor, view: ProjectedGaussians, config: TrainConfig
) -> Tensor:
    """Backpropagate both losses; the centers' gradient that density control uses."""
    if not feature_loss.requires_grad:
        rendering.backward()
    elif config.contrastive.to_density:
        (rendering + feature_loss).backward()
    else:
        rendering.backward(retain_graph=True)
        from_rendering = _gradient(view.means2d).clone()
        feature_loss.backward()
        return from_rendering
    return _gradient(view.means2d)


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _optimize(
    state: TrainState, grads: dict[str, Tensor | None], config: TrainConfig, extent: float
) -> None:
    """One Adam step of every field; see `apply_deferred_steps` for idle ones."""
    rates = learning_rates(state.iteration, config, extent, state.gaussians.sh.shape[1])
    parameters = state.gaussians.tensors()
    for name in GEOMETRY:
        adam_steps(
            *(parameters[name], grads[name], state.moments[name]), rates[name], state.iteration
        )
    if grads["features"] is not None:
        state.feature_step += 1
        adam_steps(
            *(parameters["features"], grads["features"], state.moments["features"]),
            *(feature_rates(state, config), state.feature_step),
        )


def learning_rates(
    iteration: int, config: TrainConfig, extent: float, sh_count: int
) -> dict[str, Tensor]:
    """Learning rates of the geometry fields, one entry per element of a row."""
    settings = config.appearance
    progress = iteration / config.iterations
    means_lr = settings.means_lr ** (1 - progress) * settings.means_lr_final**progress
    sh = torch.full((sh_count, 3), settings.sh_lr * SH_REST_FRACTION)
    sh[0] = settings.sh_lr
    return {
        "means": torch.full((3,), means_lr * extent),
        "quats": torch.full((4,), settings.rotation_lr),
        "log_scales": torch.full((3,), settings.scale_lr),
        "logit_opacities": torch.full((1,), settings.opacity_lr),
        "sh": sh.flatten(),
    }


def _control_density(state: TrainState, config: TrainConfig, extent: float) -> None:
    settings = config.density
    reset_interval = max(1, round(settings.reset_interval * config.iterations))
    if state.iteration >= settings.start and is_due(state.iteration, settings.interval):
        apply_deferred_steps(state, config)
        reindexed = densify(
            state.gaussians,
            state.statistics,
            settings,
            extent=extent,
            max_gaussians=config.max_gaussians,
            prune_large=state.iteration > reset_interval,
            generator=generator(config.seed, "split", state.iteration),
        )
        state.gaussians = reindexed.gaussians
        state.moments = {
            name: moments.reindexed(reindexed.source, reindexed.is_new)
            for name, moments in state.moments.items()
        }
        state.statistics = DensityStatistics.zeros(
            len(state.gaussians), state.gaussians.means.device
        )
    may_reset = settings.start <= state.iteration <= settings.reset_stop * config.iterations
    if may_reset and is_due(state.iteration, reset_interval):
        state.gaussians.logit_opacities.copy_(reset_opacities(state.gaussians.logit_opacities))
        state.moments["logit_opacities"] = Moments.zeros_like(state.gaussians.logit_opacities)
