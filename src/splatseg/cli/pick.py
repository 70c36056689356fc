"""`splatseg pick`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.cli.text import TextFlags
from splatseg.errors import SplatsegError
from splatseg.masks.config import Level
from splatseg.segmentation.config import QUERY_RADIUS, THRESHOLD


@dataclass(frozen=True)
class Pick:
    """Pick an object, by clicks or other prompts: its mask in every view, and its Gaussians."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    at: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y on the photo as shipped; again for more clicks on the same object, in any views."""
    not_at: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y on what does not belong to it."""
    box: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X0,Y0,X1,Y1 around the object in a photo."""
    scribble: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y,X,Y,... a line over the instances that belong to it."""
    mask: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:FILE, a mask of the object in a photo, nonzero inside."""
    gaussian: tyro.conf.UseAppendAction[list[int]] = field(default_factory=list)
    """Row of a Gaussian of the object in scene.ply, from 0."""
    words: Annotated[TextFlags, tyro.conf.arg(name="")] = field(default_factory=TextFlags)
    points: Path | None = None
    """JSON file with the prompts of many objects; gives a label map for each view instead."""
    level: Level = "whole"
    """What a prompt means: the whole object, or the part or subpart of it."""
    add: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """An earlier pick of this scene, by its name or its selection.safetensors: add it."""
    subtract: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """The same: take it away."""
    intersect: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """The same: keep what is in both."""
    grow: int = 0
    """Grow the selection by so many Gaussians on all sides; below 0 it shrinks."""
    name: str = "object"
    """Name of the pick: the folder SCENE/picks/NAME."""
    threshold: float = THRESHOLD
    """Cosine similarity to a prompt from which a pixel belongs to the object."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0: its own, as published."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write instead of SCENE/picks/NAME."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write masks, Gaussians and an overview; of many objects, label maps."""
        if not self.words.text and self.words != TextFlags():
            raise SplatsegError("flags for finding what words mean are given, but no --text WORDS")
        if self.points is not None or len(set(self.words.text)) > 1:
            return self._pick_objects(out)
        return self._pick_one(out)

    def _pick_one(self, out: Output) -> dict[str, Any]:
        from splatseg.segmentation.prompt_text import parse_prompts
        from splatseg.workflows.picking import pick

        prompts = parse_prompts(
            self.at, self.not_at, self.box, self.scribble, self.mask, self.gaussian, self.level
        )
        with out.progress_bar() as progress:
            found = pick(
                self.scene,
                prompts,
                text=self.words.prompts,
                add=self.add,
                subtract=self.subtract,
                intersect=self.intersect,
                grow_by=self.grow,
                options=self._options(),
                progress=progress,
            )
        shown = sum(1 for size in found.pixels.values() if size > 0)
        if found.level not in (None, self.level):
            out.say(f"at the level {found.level}, which tells the prompts apart")
        out.say(
            f"{found.gaussians} Gaussians; the object shows in {shown} of {len(found.pixels)} views"
        )
        out.wrote(found.folder / "masks", "one PNG per photo, in the photo's own pixels")
        if found.gaussians > 0:
            out.wrote(found.folder / "gaussians.ply", "the object, for any 3DGS viewer")
        else:
            out.say("no Gaussian is mostly inside these masks, so there is no gaussians.ply")
        selection = found.folder / "selection.safetensors"
        out.wrote(selection, "to combine, extract, remove or render it later")
        out.wrote(found.folder / "overview.png", "look here first")
        return found.to_json()

    def _pick_objects(self, out: Output) -> dict[str, Any]:
        from splatseg.workflows.picking import pick_objects

        prompts = (self.at, self.not_at, self.box, self.scribble, self.mask, self.gaussian)
        if any(prompts) or self.add or self.subtract or self.intersect:
            raise SplatsegError(
                "--points and several --text select many objects, and no other prompt "
                "goes with them",
                remedy="put all prompts into the file of --points",
            )
        if self.points is not None and self.words.text:
            raise SplatsegError(
                "--points and --text do not go together", remedy="pick once with each"
            )
        with out.progress_bar() as progress:
            found = pick_objects(
                self.scene,
                self.points,
                text=self.words.prompts,
                options=self._options(),
                progress=progress,
            )
        out.table([{key: str(value) for key, value in row.items()} for row in found.objects])
        labels = found.folder / "labels"
        out.wrote(labels, "a label map per photo: 0 = none, the ids of objects.json")
        out.wrote(found.folder / "overview.png", "look here first")
        return found.to_json()

    def _options(self) -> Any:
        from splatseg.workflows.picking import PickOptions

        return PickOptions(
            level=self.level,
            threshold=self.threshold,
            query_radius=self.query_radius,
            name=self.name,
            output=self.output,
            debug=self.words.debug,
            device=self.device,
        )
