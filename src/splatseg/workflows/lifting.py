"""Give a scene whose geometry is done segmentation features."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting.config import LiftConfig
from splatseg.masks import open_masks
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress
from splatseg.scene import MANIFEST, Scene, load_scene, read_ply, save_scene
from splatseg.training.config import PRESETS, TrainConfig
from splatseg.training.contrast import contrast_features
from splatseg.training.trainer import lift_features
from splatseg.training.views import TrainingViews
from splatseg.workflows.config import SCENE_FOLDER, Device, LiftPreset
from splatseg.workflows.device import choose_device
from splatseg.workflows.identity import run_identity


@dataclass(frozen=True)
class LiftResult:
    """A scene with lifted features."""

    scene: Path
    """Its folder."""
    levels: tuple[Level, ...]
    """The levels that it has features of, "whole" first."""
    seconds: float
    gaussians: int

    def to_json(self) -> dict[str, Any]:
        """Values of JSON."""
        return {
            "scene": str(self.scene),
            "levels": list(self.levels),
            "seconds": self.seconds,
            "gaussians": self.gaussians,
        }


def lift(
    scene: Path,
    capture: Path,
    output: Path | None = None,
    *,
    preset: LiftPreset = "plus",
    seed: int = 0,
    features: int = 16,
    iterations: int = PRESETS["paper"].iterations,
    config: LiftConfig | None = None,
    masks: str | None = None,
    downscale: int | None = None,
    poses: Path | None = None,
    device: Device = "auto",
    restart: bool = False,
    progress: Progress = SILENT,
) -> LiftResult:
    """Give a trained scene, or any 3DGS PLY, segmentation features; all else stays as it is.

    The scene must lie where the capture's poses see it.

    Args:
        scene: Scene folder, or a PLY of any 3D Gaussian Splatting program.
        capture: Folder of the capture with the photos' poses and with masks.
        output: Scene folder to write; `capture`/splatseg by default.
        preset: "plus": from the consensus of all views. "paper": by the published losses, whole
            objects only.
        seed: Of all random numbers, 0 or more.
        features: Dimensions of the feature, 1 or more.
        iterations: Of preset "paper", on its schedule; 1 or more.
        config: Settings of preset "plus"; its own by default.
        masks: Name of the mask set, a folder in `capture`/masks/; may be None if there is only one.
        downscale: Look at the masks this many times smaller than the photos, 1 or more; by default
            as the scene was trained, else enough to bring the photos to 1000 pixels.
        poses: A COLMAP model folder or a transforms.json, in place of the capture's own.
        device: Where to compute.
        restart: Replace the scene that the output folder may hold.
        progress: Told of the stages of `lifting.STAGES`, or of "training features" by preset
            "paper". KeyboardInterrupt leaves the output folder as it was.

    Returns:
        What was written.

    Raises:
        SplatsegError: the scene, the capture, its masks or the settings cannot be used, no photo
            sees the Gaussians, or the output folder holds a scene and `restart` is False.
    """
    folder = output or capture / SCENE_FOLDER
    if (folder / MANIFEST).exists() and not restart:
        raise SplatsegError(
            f"{folder} holds a scene already",
            remedy="choose another `output`, or `restart` to replace it",
        )
    gaussians, scene_downscale = _read_gaussians(scene)
    loaded = load_capture(capture, downscale=downscale or scene_downscale, poses=poses)
    opened = open_masks(loaded.root, masks, [frame.name for frame in loaded.frames])
    settings = _settings(preset, seed, features, iterations, config)
    views = TrainingViews(loaded, opened, settings.contrastive, settings.seed)
    began = time.perf_counter()
    levels = _lift(gaussians.to(choose_device(device)), views, settings, progress)
    found = tuple(levels)
    lifted = replace(gaussians, features=levels.pop("whole").to("cpu"))
    seconds = round(time.perf_counter() - began, 1)
    identity = run_identity(settings, loaded, opened.name)
    lifted_scene = Scene(
        gaussians=lifted,
        frames=loaded.frames,
        capture=str(loaded.root.resolve()),
        config=identity | {"lifted_onto": str(scene.resolve())},
        metrics={"lifting": {"seconds": seconds, "gaussians": len(lifted)}},
        levels=levels,
    )
    save_scene(folder, lifted_scene.to(torch.device("cpu")))
    return LiftResult(folder, found, seconds, len(lifted))


def _read_gaussians(scene: Path) -> tuple[Gaussians, int | None]:
    """What to lift onto, and the downscale of the photos that it was trained with, if known."""
    if scene.is_file():
        return read_ply(scene), None
    loaded = load_scene(scene)
    return loaded.gaussians, loaded.config.get("downscale")


def _settings(
    preset: LiftPreset, seed: int, features: int, iterations: int, config: LiftConfig | None
) -> TrainConfig:
    settings = PRESETS[preset]
    return replace(
        settings,
        seed=seed,
        iterations=iterations,
        lift=config if config and preset == "plus" else settings.lift,
        contrastive=replace(settings.contrastive, features=features),
    )


def _lift(
    gaussians: Gaussians, views: TrainingViews, settings: TrainConfig, progress: Progress
) -> dict[Level, Tensor]:
    """Features at each level, by the preset's method."""
    if settings.contrasts:
        return {"whole": contrast_features(gaussians, views, settings, progress)}
    return lift_features(gaussians, views, settings, progress)
