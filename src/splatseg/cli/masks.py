"""`splatseg masks`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.masks.generation.config import GenerationConfig
from splatseg.progress import Progress
from splatseg.workflows.config import Device

if TYPE_CHECKING:
    from splatseg.masks.statistics import SetStatistics
    from splatseg.workflows.masks import MasksResult

MAX_FLAGS = 12  # that are printed


@dataclass(frozen=True)
class Masks:
    """Make 2D masks of a capture's photos with a model of the SAM family, or import them.

    Run again after an interruption, it goes on where it was.
    """

    capture: tyro.conf.Positional[Path]
    """Folder with images/, with poses or still without."""
    name: str | None = None
    """Name of the mask set, a folder in CAPTURE/masks/; by default the model's or the format's."""
    model: str | None = None
    """Folder with ONNX files or a Hugging Face model, or an id of its hub; see docs/masks.md."""
    with_held_out: Annotated[bool, tyro.conf.arg(name="all")] = False
    """Make masks of the held-out photos too, which training does not look at."""
    preview: bool = False
    """Draw the masks on the photos: of the set that is there, unless flags say how to make one."""
    stats: bool = False
    """Print the masks in figures: of the set that is there, unless flags say how to make one."""
    source: Annotated[Path | None, tyro.conf.arg(name="import")] = None
    """File or folder with another tool's masks, to be read in place of making any."""
    format: str | None = None
    """What --import reads, as docs/formats.md calls it; by default recognized by its files."""
    restart: bool = False
    """Begin again: discard the masks that were made for this set before."""
    device: Device = "auto"
    """Where a Hugging Face model computes; those in ONNX run on the CPU."""
    threads: int | None = None
    """CPU threads; all by default."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""
    config: Annotated[GenerationConfig, tyro.conf.arg(name="")] = field(
        default_factory=GenerationConfig
    )

    def run(self, out: Output) -> dict[str, Any]:
        """Make, import or only look at a set of masks."""
        from splatseg.workflows.masks import draw_masks, find_mask_set
        from splatseg.workflows.reconstruction import find_pose_files

        self._check_flags()
        result: dict[str, Any]
        if self._only_looks():
            folder = find_mask_set(self.capture, self.name)
            name, result = folder.name, {"masks": str(folder)}
        else:
            made = self._make_or_import(out)
            name, result = made.name, made.to_json()
        if self.preview:
            with out.progress_bar() as progress:
                folder = draw_masks(self.capture, name=name, progress=progress)
            out.wrote(folder, "the masks drawn on the photos: look here first")
            result["preview"] = str(folder)
        if self.stats:
            result["statistics"] = self._describe(name, out)
        if find_pose_files(self.capture):
            out.next(f"splatseg train {self.capture} --masks {name}")
        else:
            out.next(f"splatseg capture {self.capture}")
        return result

    def _check_flags(self) -> None:
        if self.source is None and self.format is not None:
            raise SplatsegError(
                f"--format {self.format} says what --import reads, but nothing is imported",
                remedy="add --import FILE_OR_FOLDER",
            )
        if self.source is not None and self._says_how_to_make:
            raise SplatsegError(
                "--import reads masks that another tool made, so --model, --all, --restart and the "
                "settings of a model have no meaning beside it",
                remedy="leave out one or the other",
            )

    @property
    def _says_how_to_make(self) -> bool:
        is_told = self.model is not None or self.with_held_out or self.restart
        return is_told or self.config != GenerationConfig()

    def _only_looks(self) -> bool:
        """A mistyped name must not start an hour's work, so figures alone never make masks."""
        from splatseg.workflows.masks import list_mask_sets

        if self.source is not None or self._says_how_to_make:
            return False
        sets = list_mask_sets(self.capture)
        is_there = bool(sets) if self.name is None else self.name in sets
        return self.stats or (self.preview and is_there)

    def _make_or_import(self, out: Output) -> "MasksResult":
        try:
            with out.progress_bar() as progress:
                if self.source is None:
                    made = self._make(progress)
                else:
                    made = self._import(self.source, progress)
        except KeyboardInterrupt:
            out.say("run the same command to go on")
            raise
        show_masks(made, out)
        if made.held_out:
            out.say(f"{made.held_out} photos are held out and get none; --all makes theirs too")
        return made

    def _import(self, source: Path, progress: Progress) -> "MasksResult":
        from splatseg.workflows.masks import import_masks

        return import_masks(
            self.capture, source, format=self.format, name=self.name, progress=progress
        )

    def _make(self, progress: Progress) -> "MasksResult":
        from splatseg.workflows.masks import make_masks

        return make_masks(
            self.capture,
            model=self.model,
            name=self.name,
            with_held_out=self.with_held_out,
            config=self.config,
            device=self.device,
            restart=self.restart,
            progress=progress,
        )

    def _describe(self, name: str, out: Output) -> dict[str, Any]:
        from splatseg.workflows.masks import describe_masks

        with out.progress_bar() as progress:
            found = describe_masks(self.capture, name=name, progress=progress)
        _show_statistics(found, out)
        return found.to_json()


def show_masks(made: "MasksResult", out: Output) -> None:
    """Say what came of the photos."""
    if made.empty:
        out.say(f"photos without any mask: {len(made.empty)} (the first is {made.empty[0]})")
    if made.unreadable:
        out.say(f"photos that cannot be read, and so have no file: {len(made.unreadable)}")
    seconds = made.seconds_per_photo
    speed = "" if seconds is None else f", {seconds:.1f} s a photo"
    what = f"{made.photos} photos, {made.masks_per_photo} masks in the median one{speed}"
    if made.made:
        out.wrote(made.masks, what)
    else:
        out.say(f"{made.masks} has them all  ({what})")


def _show_statistics(found: "SetStatistics", out: Output) -> None:
    out.table(found.rows())
    for flag in found.flags[:MAX_FLAGS]:
        out.say(flag.sentence)
    if len(found.flags) > MAX_FLAGS:
        out.say(f"… and {len(found.flags) - MAX_FLAGS} more; --json names them all")
