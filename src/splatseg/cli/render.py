"""`splatseg render`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.masks.config import Level
from splatseg.viz.config import FrameSet, RenderKind


@dataclass(frozen=True)
class Render:
    """Render a scene: colors, features, objects, side by side with the photos."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    frames: FrameSet = "test"
    """Which views; those held out by default, or all where none is."""
    kinds: tuple[RenderKind, ...] = ()
    """What to render; by default all that the scene has. pick needs --pick."""
    level: Level = "whole"
    """Whose features to render: whole objects, their parts, or subparts."""
    pick: str | None = None
    """Name of a pick whose masks to draw."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write; SCENE/renders by default."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write one PNG per view and kind, and a montage of a few views."""
        from splatseg.workflows.rendering import render_views

        with out.progress_bar() as progress:
            result = render_views(
                self.scene,
                self.output,
                frames=self.frames,
                kinds=self.kinds,
                level=self.level,
                pick=self.pick,
                device=self.device,
                progress=progress,
            )
        out.wrote(result.folder, f"{result.views} views: {', '.join(result.kinds)}")
        out.wrote(result.montage, "look here first")
        out.next(f"splatseg evaluate {self.scene} {result.capture} --protocol nvs")
        return result.to_json()
