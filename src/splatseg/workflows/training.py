"""Train a scene from a capture."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splatseg.capture import Capture, load_capture
from splatseg.files import cannot_write
from splatseg.masks import MaskSet, open_masks
from splatseg.progress import SILENT, Progress
from splatseg.scene import MANIFEST, Scene, load_scene, save_scene
from splatseg.training import trainer
from splatseg.training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from splatseg.training.config import PRESETS, TrainConfig
from splatseg.training.state import TrainState
from splatseg.training.views import TrainingViews
from splatseg.workflows.config import DEFAULT_PRESET, SCENE_FOLDER, Device
from splatseg.workflows.device import choose_device
from splatseg.workflows.identity import check_identity, run_identity

DERIVED = (
    "objects.json",
    "objects",
    "objects.png",
    "clusters.png",
    "picks",
    "renders",
    "evaluation",
)
"""What other commands make of a scene, in its folder."""


@dataclass(frozen=True)
class TrainResult:
    """A trained scene."""

    scene: Path
    """Its folder."""
    gaussians: int
    seconds: float
    """Time that training took, lifting included, in all processes that had a part in it."""
    was_trained: bool
    """Whether this call trained it; False if it was finished before, with the same settings."""
    learns_features: bool
    """Whether the scene has segmentation features."""

    def to_json(self) -> dict[str, Any]:
        """Values of JSON."""
        return {
            "scene": str(self.scene),
            "seconds": self.seconds,
            "gaussians": self.gaussians,
        }


def train(
    capture: Path,
    output: Path | None = None,
    *,
    config: TrainConfig | None = None,
    masks: str | None = None,
    downscale: int | None = None,
    poses: Path | None = None,
    device: Device = "auto",
    restart: bool = False,
    progress: Progress = SILENT,
) -> TrainResult:
    """Train appearance, and segmentation features from 2D masks; an unfinished run is continued.

    A run stopped at any time and continued ends with the same bits as one that was not (on the CPU,
    with the same number of threads). What is done is not done again.

    Args:
        capture: Folder with images/ and sparse/ (COLMAP) or transforms.json (nerfstudio).
        output: Scene folder to write; `capture`/splatseg by default.
        config: Settings; the preset "plus" by default.
        masks: Name of the mask set, a folder in `capture`/masks/; may be None if there is only one.
            Not read if `config` learns no features.
        downscale: Train on photos this many times smaller, 1 or more; None brings them to 1000
            pixels.
        poses: A COLMAP model folder or a transforms.json, in place of the capture's own.
        device: Where to compute.
        restart: Discard an earlier run in the output folder, with its picks and renders. The scene
            itself stays until the new one takes its place.
        progress: Told of the stage "training" (details: loss, smoothed; Gaussians; it/s), then of
            those of lifting, if `config` lifts. On KeyboardInterrupt a checkpoint is written, and
            the exception goes on.

    Returns:
        What was trained, or found to be trained already.

    Raises:
        SplatsegError: the capture, its masks, or `config` cannot be used, the output folder cannot
            be written, or it holds a run with other settings.
    """
    folder = output or capture / SCENE_FOLDER
    config = config or PRESETS[DEFAULT_PRESET]
    chosen = choose_device(device)
    loaded = load_capture(capture, downscale=downscale, poses=poses)
    opened = _open_masks(loaded, masks) if config.learns_features else None
    identity = run_identity(config, loaded, opened and opened.name)
    if restart:
        _discard_run(folder)
    elif (folder / MANIFEST).exists() and not (folder / CHECKPOINT).exists():
        return _already_trained(folder, config, identity)
    progress.note(_summary(loaded, opened))
    scene = _train(loaded, opened, config, Checkpoint(folder, identity), chosen, progress)
    return _result(folder, config, scene, was_trained=True)


def _open_masks(capture: Capture, name: str | None) -> MaskSet:
    return open_masks(capture.root, name, [frame.name for frame in capture.frames])


def _already_trained(folder: Path, config: TrainConfig, identity: dict[str, Any]) -> TrainResult:
    scene = load_scene(folder)
    check_identity(scene.config, identity, f"{folder} holds a scene trained")
    return _result(folder, config, scene, was_trained=False)


def _result(folder: Path, config: TrainConfig, scene: Scene, was_trained: bool) -> TrainResult:
    training = scene.metrics["training"]
    return TrainResult(
        scene=folder,
        gaussians=training["gaussians"],
        seconds=training["seconds"],
        was_trained=was_trained,
        learns_features=config.learns_features,
    )


def _summary(capture: Capture, masks: MaskSet | None) -> str:
    size = capture.frames[0].camera
    counted = (
        f"{len(capture.train)} training photos at {size.width}x{size.height}, "
        f"{len(capture.test)} held out, {len(capture.points)} points"
    )
    return f"{counted}, masks {masks.name}" if masks else counted


def _train(
    capture: Capture,
    masks: MaskSet | None,
    config: TrainConfig,
    checkpoint: Checkpoint,
    device: torch.device,
    progress: Progress,
) -> Scene:
    """Train from the start or the checkpoint, and save the scene."""
    folder, identity = checkpoint.folder, checkpoint.identity
    state = (_unfinished(checkpoint) or trainer.first_state(capture, config)).to(device)
    _refuse_unwritable(folder)
    views = TrainingViews(capture, masks, config.contrastive, config.seed)
    try:
        levels = trainer.train(state, views, config, checkpoint, progress)
    except KeyboardInterrupt:
        progress.note(f"stopped; progress is saved in {folder}: run the same again to go on")
        raise
    scene = Scene(
        gaussians=state.gaussians,
        frames=capture.frames,
        capture=str(capture.root.resolve()),
        config=identity,
        metrics={
            "training": {"seconds": round(state.seconds, 1), "gaussians": len(state.gaussians)}
        },
        levels=levels,
    ).to(torch.device("cpu"))
    save_scene(folder, scene)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return scene


def _unfinished(checkpoint: Checkpoint) -> TrainState | None:
    """The run to go on with, if it is the same."""
    loaded = load_checkpoint(checkpoint.folder)
    if loaded is None:
        return None
    state, identity = loaded
    check_identity(identity, checkpoint.identity, f"{checkpoint.folder} holds an unfinished run")
    return state


def _discard_run(folder: Path) -> None:
    """Delete the checkpoint, and what other commands derived from the scene to be replaced.

    The scene itself stays until the new one takes its place.
    """
    for name in (CHECKPOINT, *DERIVED):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _refuse_unwritable(folder: Path) -> None:
    """Find out before the first iteration, not after the last, that nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error
