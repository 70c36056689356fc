"""`splatseg extract`, `remove`, `hide`, `recolor` and `move`: a scene folder in, another out."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from jaxtyping import Float
from PIL import ImageColor
from torch import Tensor

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.editing.edits import extract, hide, move, recolor, remove
from splatseg.editing.unobserved import Unobserved, find_unobserved
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import save_image
from splatseg.scene import Scene, load_scene, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import SELECTED, fingerprint
from splatseg.viz.edits import before_and_after, unobserved_montage, views_of
from splatseg.workflows.device import choose_device
from splatseg.workflows.selections import union_weights

EDITS = "edits"  # in a scene's configuration: what was done to it, a line each
OVERVIEW, UNSEEN_PICTURE, UNSEEN = "overview.png", "unseen.png", "unseen.safetensors"
WRITTEN = {"scene.ply", "features.safetensors", "labels.safetensors", "manifest.json"}
WRITTEN |= {OVERVIEW, UNSEEN_PICTURE, UNSEEN}
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True, eq=False)
class EditResult:
    """A scene after an edit."""

    scene: Scene
    unseen: Unobserved | None = None
    """Of a removal: what no photo shows."""


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
    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """The scene with the object, to which Gaussians belong by `weights`, edited."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write the new scene, and views of it before and after."""
        refuse_foreign(self.output, self.scene)
        scene = load_scene(self.scene).to(choose_device(self.device))
        weights = union_weights(scene, self.scene, self.object, self.selection)
        count = int((weights >= SELECTED).sum())
        result = self.edited(scene, weights)
        after = replace(
            result.scene,
            # Photos do not show the edited scene: where there are none, pictures show renders.
            capture=str(self.output.absolute()),
            config=scene.config | {EDITS: [*scene.config.get(EDITS, []), self._told()]},
            metrics={},
        )
        with replacing_folder(self.output) as new:
            save_scene(new, after)
            frames = views_of(scene.gaussians, weights, scene.frames)
            save_image(new / OVERVIEW, before_and_after(scene, after, frames))
            if result.unseen is not None and result.unseen.share > 0:
                write_unseen(new, after, result.unseen)
        out.say(f"{count} Gaussians selected; the new scene has {len(after.gaussians)}")
        out.wrote(self.output, "the new scene, for any other command")
        out.wrote(self.output / OVERVIEW, "before and after: look here first")
        facts = {"scene": str(self.output), "selected": count, "gaussians": len(after.gaussians)}
        if result.unseen is None:
            return facts
        out.say(told_unseen(result.unseen, self.output))
        return facts | {"unseen": result.unseen.share}

    def _told(self) -> str:
        things = [*map(str, self.object), *self.selection]
        return f"{type(self).__name__.lower()} {', '.join(things)}"


@dataclass(frozen=True, kw_only=True)
class Extract(Edit):
    """Take objects out into a scene of their own."""

    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """Only the selected Gaussians."""
        return EditResult(extract(scene, weights))


@dataclass(frozen=True, kw_only=True)
class Remove(Edit):
    """Remove objects, with what hangs in and around them; tells what no photo shows behind."""

    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """The Gaussians that are neither selected nor inside the object."""
        after = remove(scene, weights)
        return EditResult(
            after, find_unobserved(scene.gaussians, weights, after.gaussians, scene.frames)
        )


@dataclass(frozen=True, kw_only=True)
class Hide(Edit):
    """Make objects invisible: their Gaussians stay in the scene, too faint to be drawn."""

    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """The same Gaussians, the selected ones without opacity."""
        return EditResult(hide(scene, weights))


@dataclass(frozen=True, kw_only=True)
class Recolor(Edit):
    """Give objects another color."""

    color: str
    """As in #3366cc; a name that CSS knows will do too."""
    strength: float = 0.5
    """0 leaves the colors, 1 gives the new one alone."""

    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """The same Gaussians, the selected ones in a mixed color."""
        return EditResult(recolor(scene, weights, parse_color(self.color), self.strength))


@dataclass(frozen=True, kw_only=True)
class Move(Edit):
    """Move, turn or scale objects; what hung in and around them at the old place goes."""

    by: str = "0,0,0"
    """X,Y,Z in the world's units and axes; below 0 as in --by=-0.1,0,0."""
    rotate: str = "z,0"
    """AXIS,DEGREES about x, y or z of the world, or a quaternion W,X,Y,Z; about the center."""
    scale: float = 1.0
    """Factor, about the center, which is the median of the object's Gaussians."""

    def edited(self, scene: Scene, weights: Float[Tensor, " n"]) -> EditResult:
        """The selected Gaussians elsewhere, and those that stay without them."""
        by, rotation = parse_numbers("--by", self.by, 3), parse_rotation(self.rotate)
        return EditResult(move(scene, weights, by, rotation, self.scale))


def refuse_foreign(folder: Path, scene: Path) -> None:
    """Raise if writing to `folder` would take the place of anything but an earlier edit."""
    if folder.resolve() == scene.resolve():
        raise SplatsegError(
            f"-o is the scene itself, {scene}",
            remedy="give the folder of a new one",
        )
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in found if name not in WRITTEN]
    if foreign or (found and EDITS not in load_scene(folder).config):
        what = foreign[0] if foreign else "a scene that no edit wrote"
        raise SplatsegError(
            f"{folder} holds {what}, and an edit takes the place of the whole folder",
            remedy="choose a new one with -o",
        )


def write_unseen(folder: Path, after: Scene, unseen: Unobserved) -> None:
    """A picture of what no photo shows, and its Gaussians as a selection."""
    save_image(folder / UNSEEN_PICTURE, unobserved_montage(after, unseen))
    made = ("never photographed, behind what was removed",)
    gaussians: Gaussians = after.gaussians
    flagged = Selection(unseen.gaussians.float(), fingerprint(gaussians), made)
    save_selection(folder / UNSEEN, flagged)


def told_unseen(unseen: Unobserved, folder: Path) -> str:
    """The sentence about what no photo shows."""
    if unseen.share == 0:
        return "all of what lies behind was photographed"
    return (
        f"{unseen.share:.0%} of what lies behind was never photographed, and is a guess: see "
        f"{folder / UNSEEN_PICTURE}"
    )


def parse_color(text: str) -> Float[Tensor, "3"]:
    """RGB in [0, 1] from #rrggbb or a color's name."""
    try:
        return torch.tensor(ImageColor.getrgb(text)[:3]) / 255
    except ValueError as error:
        raise SplatsegError(
            f"--color {text} is no color",
            expected="#rrggbb",
        ) from error


def parse_rotation(text: str) -> Float[Tensor, "4"]:
    """A wxyz quaternion from AXIS,DEGREES or W,X,Y,Z."""
    axis, _, degrees = text.partition(",")
    if axis not in AXES:
        return parse_numbers("--rotate", text, 4, "AXIS,DEGREES, as in z,90, or W,X,Y,Z")
    half = math.radians(float(parse_numbers("--rotate", degrees, 1, "AXIS,DEGREES"))) / 2
    return torch.tensor([math.cos(half), *(math.sin(half) * v for v in AXES[axis])])


def parse_numbers(flag: str, text: str, count: int, expected: str = "X,Y,Z") -> Float[Tensor, " n"]:
    """`count` finite numbers between commas."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise SplatsegError(f"{flag} {text} is not {expected}")
    return torch.tensor(numbers)
