"""`splatseg export`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splatseg.cli.output import Output
from splatseg.export.config import ExportFormat, Viewpoints

if TYPE_CHECKING:  # imports torch
    from splatseg.workflows.exports import ExportResult


@dataclass(frozen=True)
class Export:
    """Write a scene, or objects of it, for other tools: splats, boxes, a mesh, masks, a video."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File to write; a folder for masks, label-maps and sa1b, and with --per-object."""
    format: ExportFormat | None = None
    """By default, what the suffix of the file says: .npz are ids, .json boxes, .glb, .obj and .stl
    a mesh of an object, .mp4 a video. Splats are ply, compressed-ply, spz, sog and splat; ids-ply
    has objects in colors. masks, label-maps, coco and sa1b are 2D masks."""
    object: tyro.conf.UseAppendAction[list[int]] = field(default_factory=list)
    """Id of an object that cluster found; again for more. By default, the whole scene."""
    selection: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """A pick of this scene, by its name or its selection.safetensors; again for more."""
    per_object: bool = False
    """One file for each object, ID.SUFFIX, in a folder; it needs --format."""
    along: Annotated[Viewpoints, tyro.conf.arg(name="")] = field(default_factory=Viewpoints)
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write the file or the folder."""
        from splatseg.workflows.exports import export

        with out.progress_bar() as progress:
            result = export(
                self.scene,
                self.output,
                format=self.format,
                objects=self.object,
                selections=self.selection,
                per_object=self.per_object,
                viewpoints=self.along,
                progress=progress,
            )
        out.say(_summary(result))
        out.wrote(result.output, result.purpose)
        return result.to_json()


def _summary(result: "ExportResult") -> str:
    if result.objects is not None:
        return f"{len(result.objects)} objects as {result.format}"
    if result.instances is not None:
        return f"masks of {len(result.instances)} objects in {result.views} views"
    if result.bytes is not None:
        return f"{result.gaussians} Gaussians as {result.format}, {result.bytes / 1e6:.3g} MB"
    return f"{result.views} views as {result.format}"
