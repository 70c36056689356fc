"""`splatseg lift`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.lifting.config import LiftConfig
from splatseg.training.config import PRESETS
from splatseg.workflows.config import LiftPreset


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
    preset: LiftPreset = "plus"
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
        from splatseg.workflows.lifting import lift

        with out.progress_bar() as progress:
            result = lift(
                self.scene,
                self.capture,
                self.output,
                preset=self.preset,
                seed=self.seed,
                features=self.features,
                iterations=self.iterations,
                config=self.lift,
                masks=self.masks,
                downscale=self.downscale,
                poses=self.poses,
                device=self.device,
                restart=self.restart,
                progress=progress,
            )
        out.wrote(result.scene, f"{result.gaussians} Gaussians, {result.seconds:.0f} s")
        out.next(f"splatseg cluster {result.scene}")
        return result.to_json()
