"""`splatseg run`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splatseg.cli.capture import show_reconstruction
from splatseg.cli.device import Device
from splatseg.cli.masks import show_masks
from splatseg.cli.output import Output
from splatseg.training.config import Preset
from splatseg.workflows.config import DEFAULT_PRESET

if TYPE_CHECKING:
    from splatseg.workflows.pipeline import RunResult


@dataclass(frozen=True)
class Run:
    """Make a scene with objects of photos, a video, or a capture: all stages, with defaults.

    Finds poses (as capture does), makes masks (masks), trains (train), finds the objects (cluster)
    and renders the held-out views (render). Run again after an interruption, it goes on where it
    was; what is finished is not done again.
    """

    photos: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTOS|VIDEO|CAPTURE")]
    """Folder of photos; a video file; or a capture, which is a folder with images/ or with poses:
    it is worked on in place, and poses and masks that it has are used."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Of photos and videos: the capture folder to write, by default PHOTOS-capture beside PHOTOS,
    with the scene in its folder splatseg/. Of a capture: the scene folder, by default
    CAPTURE/splatseg."""
    masks: str | None = None
    """Name of the mask set to train with; may be omitted if there is only one, or none yet."""
    model: str | None = None
    """Segmentation model to make masks with, as in splatseg masks; if omitted, masks that are
    there are used."""
    preset: Preset = DEFAULT_PRESET
    """How to train, as in splatseg train. rgb: appearance only, without masks and objects."""
    iterations: int | None = None
    """Of training; by default the preset's."""
    device: Device = "auto"
    threads: int | None = None
    """CPU threads; all by default."""
    restart: bool = False
    """Train again and find the objects again; poses and masks are kept."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Run all stages, and say what was written."""
        from splatseg.workflows import pipeline

        try:
            with out.progress_bar() as progress:
                made = pipeline.run(
                    self.photos,
                    self.output,
                    masks=self.masks,
                    model=self.model,
                    preset=self.preset,
                    iterations=self.iterations,
                    device=self.device,
                    threads=self.threads,
                    restart=self.restart,
                    progress=progress,
                )
        except KeyboardInterrupt:
            out.say("stopped; what is finished is kept: run the same command to go on")
            raise
        _show(made, out)
        return made.to_json()


def _show(made: "RunResult", out: Output) -> None:
    if made.poses is not None:
        show_reconstruction(made.poses, out)
    if made.masks is not None:
        show_masks(made.masks, out)
    training, scene = made.training, made.scene
    if training.was_trained:
        out.wrote(scene, f"{training.gaussians} Gaussians, {training.seconds:.0f} s")
    else:
        out.say(f"{scene} is already trained with these settings; --restart trains it again")
    if made.clusters is not None:
        objects = [row for row in made.clusters.objects if row["kind"] == "object"]
        out.wrote(scene / "objects.png", f"the {len(objects)} objects: look here first")
        out.wrote(scene / "clusters.png", "three views with the objects' ids")
    if made.renders is not None:
        out.wrote(made.renders.montage, "held-out views")
    if training.learns_features:
        frame, x, y = made.first_click
        out.next(f"splatseg pick {scene} --at {frame}:{x},{y}")
    else:
        out.next(f"splatseg evaluate {scene} {made.capture} --protocol nvs")
