"""`splatseg lift`."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from torch import Tensor

from splatseg.capture import load_capture
from splatseg.cli.device import Device
from splatseg.cli.output import Output, ProgressLine
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting import Report
from splatseg.lifting.config import STAGES, LiftConfig
from splatseg.masks import Level, open_masks
from splatseg.scene import Scene, load_scene, read_ply, save_scene
from splatseg.training import PRESETS, TrainConfig, contrast_features, lift_features
from splatseg.training.state import run_identity
from splatseg.training.views import TrainingViews
from splatseg.workflows.device import choose_device

PER_STAGE = 100  # steps of the progress line
LIFTING = len(STAGES) * PER_STAGE


@dataclass(frozen=True)
class Lift:
    """Give a trained scene, or any 3DGS PLY, segmentation features; all else stays as it is.

    The scene must lie where the capture's poses see it.
    """

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train, or a PLY of any 3D Gaussian Splatting program."""
    capture: tyro.conf.Positional[Path]
    """Capture with the photos' poses and with masks."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Scene folder to write; CAPTURE/splatseg by default."""
    masks: str | None = None
    """Name of the mask set, a folder in CAPTURE/masks/; may be omitted if there is only one."""
    downscale: int | None = None
    """Look at the masks this many times smaller than the photos; by default as train would."""
    poses: Path | None = None
    """Poses to use instead of the capture's own: a COLMAP model folder or a transforms.json."""
    seed: int = 0
    features: int = 16
    """Dimensions of the feature."""
    preset: Literal["plus", "paper"] = "plus"
    """plus: from the consensus of all views. paper: by the published losses, whole objects only."""
    iterations: int = PRESETS["paper"].iterations
    """Of preset paper, on its schedule."""
    restart: bool = False
    """Replace the scene that the output folder may hold."""
    device: Device = "auto"
    threads: int | None = None
    """CPU threads; all by default."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""
    lift: LiftConfig = field(default_factory=lambda: PRESETS["plus"].lift)

    def run(self, out: Output) -> dict[str, Any]:
        """Lift, save, and say what was written."""
        folder = self.output or self.capture / "splatseg"
        if (folder / "manifest.json").exists() and not self.restart:
            raise SplatsegError(
                f"{folder} holds a scene already",
                remedy="choose another -o, or --restart to replace it",
            )
        gaussians, downscale = self._gaussians()
        capture = load_capture(self.capture, downscale=downscale, poses=self.poses)
        masks = open_masks(capture.root, self.masks, [frame.name for frame in capture.frames])
        preset = PRESETS[self.preset]
        config = replace(
            preset,
            seed=self.seed,
            iterations=self.iterations,
            lift=self.lift if self.preset == "plus" else preset.lift,
            contrastive=replace(preset.contrastive, features=self.features),
        )
        views = TrainingViews(capture, masks, config.contrastive, config.seed)
        began = time.perf_counter()
        on_device = gaussians.to(choose_device(self.device))
        levels = _lifted(on_device, views, config, out)
        lifted = replace(gaussians, features=levels.pop("whole").to("cpu"))
        seconds = round(time.perf_counter() - began, 1)
        identity = run_identity(config, capture, masks.name)
        lifting = {"seconds": seconds, "gaussians": len(lifted)}
        save_scene(
            folder,
            Scene(
                gaussians=lifted,
                frames=capture.frames,
                capture=str(capture.root.resolve()),
                config=identity | {"lifted_onto": str(self.scene.resolve())},
                metrics={"lifting": lifting},
                levels={level: features.to("cpu") for level, features in levels.items()},
            ),
        )
        out.wrote(folder, f"{len(lifted)} Gaussians, {seconds:.0f} s")
        out.next(f"splatseg cluster {folder}")
        return {"scene": str(folder), "levels": ["whole", *levels]} | lifting

    def _gaussians(self) -> tuple[Gaussians, int | None]:
        """What to lift onto, and the downscale of its photos."""
        if self.scene.is_file():
            return read_ply(self.scene), self.downscale
        scene = load_scene(self.scene)
        return scene.gaussians, self.downscale or scene.config.get("downscale")


def _lifted(
    gaussians: Gaussians, views: TrainingViews, config: TrainConfig, out: Output
) -> dict[Level, Tensor]:
    """Features at each level, by the preset's method."""
    if config.contrasts:
        with out.progress("contrasting", config.iterations) as line:
            return {
                "whole": contrast_features(gaussians, views, config, lambda *at: line.update(at[0]))
            }
    with out.progress("lifting", LIFTING) as line:
        return lift_features(gaussians, views, config, report_on(line))


def report_on(line: ProgressLine) -> Report:
    """Tells a line of LIFTING steps how far lifting is."""

    def report(stage: str, done: int, total: int) -> None:
        line.update((STAGES.index(stage) * total + done) * PER_STAGE // total, stage)

    return report
