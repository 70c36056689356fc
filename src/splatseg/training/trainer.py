"""A training run, from its state to the trained state and the lifted features."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from splatseg.capture import Capture
from splatseg.engine.threads import torch_threads
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting import lift
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress
from splatseg.training.checkpoint import Checkpoint
from splatseg.training.config import TrainConfig
from splatseg.training.initialize import gaussians_from_points
from splatseg.training.optimization import apply_deferred_steps
from splatseg.training.randomness import generator
from splatseg.training.state import TrainState
from splatseg.training.step import train_step
from splatseg.training.terms import loss_terms
from splatseg.training.views import TrainingViews

LOSS_SMOOTHING = 0.98  # of the loss that progress shows


def first_state(capture: Capture, config: TrainConfig) -> TrainState:
    """The state before the first iteration, on the CPU: a Gaussian at each point."""
    settings = config.contrastive
    gaussians = gaussians_from_points(
        capture.points,
        capture.colors,
        sh_degree=config.appearance.sh_degree,
        features=settings.features if config.contrasts else 0,
        feature_init=settings.init,
        generator=generator(config.seed, "features"),
    )
    return TrainState.start(gaussians)


def train(
    state: TrainState,
    views: TrainingViews,
    config: TrainConfig,
    checkpoint: Checkpoint,
    progress: Progress = SILENT,
) -> dict[Level, Float[Tensor, "n f"]]:
    """Train `state` in place to the last iteration; then lift features if `config` says so.

    Stages are "training" and those of lifting. A checkpoint is saved now and then, before lifting,
    and on KeyboardInterrupt, which then goes on.

    Returns:
        Features of the levels that are finer than whole objects; those of whole objects are in
        `state`.
    """
    try:
        # Leave the cores to the engine: torch's OpenMP threads spin between calls. Under load that
        # made the tests' scene take 28 s instead of 5, and torch has little to do in it.
        with torch_threads(1):
            _train_appearance(state, views, config, checkpoint, progress)
            apply_deferred_steps(state, config)
            if config.lift.steps == 0:
                return {}
            checkpoint.save(state)  # to come back here, not to the start
            began = time.perf_counter()
            levels = lift_features(state.gaussians, views, config, progress)
            state.gaussians = replace(state.gaussians, features=levels.pop("whole"))
            state.seconds += time.perf_counter() - began
            return levels
    except KeyboardInterrupt:
        checkpoint.save(state)
        raise


def lift_features(
    gaussians: Gaussians, views: TrainingViews, config: TrainConfig, progress: Progress = SILENT
) -> dict[Level, Float[Tensor, "n f"]]:
    """The scene's features from the consensus of the training views, at each level."""
    frames = [frame for frame in views.capture.train if views.has_masks(frame)]
    spread = frames[:: max(1, -(-len(frames) // config.lift.max_views))]
    segmented = [views.segmented(frame, config.lift.max_masks) for frame in spread]
    rng = generator(config.seed, "lift")
    found = lift(gaussians, segmented, config.lift, config.contrastive.features, rng, progress)
    return {level: lifted.features for level, lifted in found.items()}


def _train_appearance(
    state: TrainState,
    views: TrainingViews,
    config: TrainConfig,
    checkpoint: Checkpoint,
    progress: Progress,
) -> None:
    """All iterations that are left."""
    terms = loss_terms(config)
    first, before, smoothed = state.iteration, state.seconds, None
    began = time.perf_counter()
    while state.iteration < config.iterations:
        with _interrupts_deferred():  # one in mid-step would leave a state that no step has
            loss = train_step(state, views, config, terms)
        smoothed = loss if smoothed is None else smoothed + (1 - LOSS_SMOOTHING) * (loss - smoothed)
        elapsed = time.perf_counter() - began
        state.seconds = before + elapsed
        details = {
            "loss": smoothed,
            "Gaussians": len(state.gaussians),
            "it/s": (state.iteration - first) / max(elapsed, 1e-9),
        }
        progress.update("training", state.iteration, config.iterations, details)
        unfinished = state.iteration < config.iterations
        if unfinished and state.iteration % config.checkpoint_interval == 0:
            checkpoint.save(state)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done. Only the main thread gets it, so only there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual or signal.SIG_DFL)
    if interrupts:
        signal.raise_signal(signal.SIGINT)
