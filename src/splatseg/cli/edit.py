"""`splatseg extract`, `remove`, `hide`, `recolor` and `move`: a scene folder in, another out."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError

if TYPE_CHECKING:  # imports torch
    from splatseg.workflows import edits

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
ROTATION = "AXIS,DEGREES, as in z,90, or W,X,Y,Z"


@dataclass(frozen=True, kw_only=True)
class Edit(ABC):
    """What the verbs share."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train; it stays as it is."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the new scene; one that an earlier edit wrote is replaced."""
    object: tyro.conf.UseAppendAction[list[int]] = field(default_factory=list)
    """Id of an object, as cluster lists them; again for more."""
    selection: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """A pick of this scene, by name, folder or selection.safetensors; again for more."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    @abstractmethod
    def edit(self) -> "edits.Edit":
        """What is done to the objects."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write the new scene, and views of it before and after."""
        from splatseg.workflows.edits import edit_scene

        edit = self.edit()
        with out.progress_bar() as progress:
            result = edit_scene(
                self.scene,
                self.output,
                edit,
                objects=self.object,
                selections=self.selection,
                device=self.device,
                progress=progress,
            )
        out.say(f"{result.selected} Gaussians selected; the new scene has {result.gaussians}")
        out.wrote(result.scene, "the new scene, for any other command")
        out.wrote(result.overview, "before and after: look here first")
        if result.unobserved == 0:
            out.say("photos show all of what is uncovered")
        elif result.unobserved is not None:
            out.say(
                f"no photo shows {result.unobserved:.0%} of what is uncovered, so the scene is a "
                f"guess there: see {result.unobserved_picture}"
            )
        return result.to_json()


@dataclass(frozen=True, kw_only=True)
class Extract(Edit):
    """Extract objects into a scene of their own."""

    def edit(self) -> "edits.Edit":
        """An extraction."""
        from splatseg.workflows import edits

        return edits.Extract()


@dataclass(frozen=True, kw_only=True)
class Remove(Edit):
    """Remove objects and the floaters left by them; find the unobserved regions behind them."""

    def edit(self) -> "edits.Edit":
        """A removal."""
        from splatseg.workflows import edits

        return edits.Remove()


@dataclass(frozen=True, kw_only=True)
class Hide(Edit):
    """Make objects invisible: their Gaussians stay in the scene with an opacity near 0."""

    def edit(self) -> "edits.Edit":
        """A hiding."""
        from splatseg.workflows import edits

        return edits.Hide()


@dataclass(frozen=True, kw_only=True)
class Recolor(Edit):
    """Give objects another color."""

    color: str
    """As in #3366cc; a name that CSS knows will do too."""
    strength: float = 0.5
    """0 leaves the colors, 1 gives the new one alone."""

    def edit(self) -> "edits.Edit":
        """A recoloring."""
        from splatseg.workflows import edits

        return edits.Recolor(parse_color(self.color), self.strength)


@dataclass(frozen=True, kw_only=True)
class Move(Edit):
    """Move, rotate or scale objects; the floaters left by them at the old place are removed."""

    by: str = "0,0,0"
    """X,Y,Z in the world's units and axes; below 0 as in --by=-0.1,0,0."""
    rotate: str = "z,0"
    """AXIS,DEGREES about x, y or z of the world, or a quaternion W,X,Y,Z; about the center."""
    scale: float = 1.0
    """Factor, about the center, which is the median of the object's Gaussians."""

    def edit(self) -> "edits.Edit":
        """A move."""
        from splatseg.workflows import edits

        x, y, z = parse_numbers("--by", self.by, 3, "X,Y,Z")
        return edits.Move((x, y, z), parse_rotation(self.rotate), self.scale)


def parse_color(text: str) -> tuple[float, float, float]:
    """RGB in [0, 1] from #rrggbb or a color's name."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise SplatsegError(f"--color {text} is no color", expected="#rrggbb") from error
    return red / 255, green / 255, blue / 255


def parse_rotation(text: str) -> tuple[float, float, float, float]:
    """A wxyz quaternion from AXIS,DEGREES or W,X,Y,Z."""
    axis, _, degrees = text.partition(",")
    if axis not in AXES:
        w, x, y, z = parse_numbers("--rotate", text, 4, ROTATION)
        return w, x, y, z
    (angle,) = parse_numbers("--rotate", degrees, 1, "AXIS,DEGREES")
    half = math.radians(angle) / 2
    x, y, z = (math.sin(half) * v for v in AXES[axis])
    return math.cos(half), x, y, z


def parse_numbers(flag: str, text: str, count: int, expected: str) -> list[float]:
    """`count` finite numbers between commas."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise SplatsegError(f"{flag} {text} is not {expected}")
    return numbers
