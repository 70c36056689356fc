"""A training run from start or checkpoint to the saved scene."""

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.capture import Capture
from splatseg.engine.threads import torch_threads
from splatseg.errors import SplatsegError
from splatseg.files import cannot_write
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting import Report, lift
from splatseg.masks import MaskSet
from splatseg.masks.config import Level
from splatseg.scene import Scene, load_scene, save_scene
from splatseg.training.config import TrainConfig
from splatseg.training.initialize import gaussians_from_points
from splatseg.training.randomness import generator
from splatseg.training.state import (
    CHECKPOINT,
    TrainState,
    load_checkpoint,
    run_identity,
    save_checkpoint,
)
from splatseg.training.step import apply_deferred_steps, train_step
from splatseg.training.views import TrainingViews

LOSS_SMOOTHING = 0.98  # of the loss in progress messages
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    iteration: int
    iterations: int
    loss: float
    """Smoothed total loss."""
    gaussians: int
    seconds: float
    """Since this process began to train."""
    first_iteration: int
    """Where this process began: more than 0 for a resumed run."""

    @property
    def speed(self) -> float:
        """Iterations a second."""
        return (self.iteration - self.first_iteration) / max(self.seconds, 1e-9)

    @property
    def remaining(self) -> float:
        """Estimated seconds left."""
        return (self.iterations - self.iteration) / max(self.speed, 1e-9)


def train(
    capture: Capture,
    masks: MaskSet | None,
    config: TrainConfig,
    folder: Path,
    report: Callable[[Progress], None],
    device: torch.device = CPU,
    report_lifting: Report = lambda stage, done, total: None,
) -> Scene:
    """Train a scene on `device` and save it to `folder`; an unfinished run there is continued.

    What is returned is what was saved, on the CPU.

    `masks` may be None only if the configuration learns no features. On KeyboardInterrupt a
    checkpoint is written and the exception goes on.
    """
    if config.learns_features and masks is None:
        raise SplatsegError(
            "training segmentation features needs masks",
            remedy="pass `masks` NAME or `preset` rgb",
        )
    masks = masks if config.learns_features else None
    identity = run_identity(config, capture, masks and masks.name)
    state = load_checkpoint(folder, identity) or TrainState.start(_first_gaussians(capture, config))
    state = state.to(device)
    _refuse_unwritable(folder)
    views = TrainingViews(capture, masks, config.contrastive, config.seed)
    try:
        # Leave the cores to the engine: torch's OpenMP threads spin between calls. Under load that
        # made the tests' scene take 28 s instead of 5, and torch has little to do in it.
        with torch_threads(1):
            _run(state, views, config, capture.extent, folder, identity, report)
            apply_deferred_steps(state, config)
            levels: dict[Level, Tensor] = {}
            if config.lift.steps > 0:
                save_checkpoint(folder, state, identity)  # to come back here, not to the start
                began = time.perf_counter()
                levels = lift_features(state.gaussians, views, config, report_lifting)
                state.gaussians = replace(state.gaussians, features=levels.pop("whole"))
                state.seconds += time.perf_counter() - began
    except KeyboardInterrupt:
        save_checkpoint(folder, state, identity)
        raise
    training = {"seconds": round(state.seconds, 1), "gaussians": len(state.gaussians)}
    scene = Scene(
        gaussians=state.gaussians.to(CPU),
        frames=capture.frames,
        capture=str(capture.root.resolve()),
        config=identity,
        metrics={"training": training},
        levels={level: features.to(CPU) for level, features in levels.items()},
    )
    save_scene(folder, scene)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return load_scene(folder)


def lift_features(
    gaussians: Gaussians,
    views: TrainingViews,
    config: TrainConfig,
    report: Report = lambda stage, done, total: None,
) -> dict[Level, Float[Tensor, "n f"]]:
    """The scene's features from the consensus of the training views, at each level."""
    frames = [frame for frame in views.capture.train if views.has_masks(frame)]
    spread = frames[:: max(1, -(-len(frames) // config.lift.max_views))]
    segmented = [views.segmented(frame, config.lift.max_masks) for frame in spread]
    rng = generator(config.seed, "lift")
    found = lift(gaussians, segmented, config.lift, config.contrastive.features, rng, report)
    return {level: lifted.features for level, lifted in found.items()}


def _refuse_unwritable(folder: Path) -> None:
    """Find out before the first iteration, not after the last, that nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


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


def _first_gaussians(capture: Capture, config: TrainConfig) -> Gaussians:
    settings = config.contrastive
    return gaussians_from_points(
        capture.points,
        capture.colors,
        sh_degree=config.appearance.sh_degree,
        features=settings.features if config.contrasts else 0,
        feature_init=settings.init,
        generator=generator(config.seed, "features"),
    )


def _run(
    state: TrainState,
    views: TrainingViews,
    config: TrainConfig,
    extent: float,
    folder: Path,
    identity: dict[str, Any],
    report: Callable[[Progress], None],
) -> None:
    """All iterations that are left."""
    first, before, smoothed = state.iteration, state.seconds, None
    began = time.perf_counter()
    while state.iteration < config.iterations:
        with _interrupts_deferred():  # one in mid-step would leave a state that no step has
            loss = train_step(state, views, config, extent)
        smoothed = loss if smoothed is None else smoothed + (1 - LOSS_SMOOTHING) * (loss - smoothed)
        elapsed = time.perf_counter() - began
        state.seconds = before + elapsed
        report(
            Progress(
                *(state.iteration, config.iterations, smoothed, len(state.gaussians), elapsed),
                first_iteration=first,
            )
        )
        unfinished = state.iteration < config.iterations
        if unfinished and state.iteration % config.checkpoint_interval == 0:
            save_checkpoint(folder, state, identity)
