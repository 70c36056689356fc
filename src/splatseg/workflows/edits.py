"""Edit the objects of a scene: a scene folder in, another scene folder out.

Objects are given by their ids, as `splatseg cluster` lists them, and by earlier picks of the scene.
Photos do not show an edited scene, so the new scene names its own folder as its capture: pictures
of it are renders.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.editing import edits
from splatseg.editing.unobserved import UnobservedRegions, find_unobserved
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder
from splatseg.images import save_image
from splatseg.progress import SILENT, Progress
from splatseg.scene import SCENE_FILES, Scene, load_scene, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import SELECTED, fingerprint
from splatseg.viz.edits import before_and_after, unobserved_montage, views_of
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device
from splatseg.workflows.selections import union_weights

EDITS = "edits"  # in a scene's configuration: one line for each edit
OVERVIEW = "overview.png"
UNOBSERVED_PICTURE, UNOBSERVED = "unseen.png", "unseen.safetensors"
WRITTEN = SCENE_FILES | {OVERVIEW, UNOBSERVED_PICTURE, UNOBSERVED}
"""All that an edit writes."""
NO_ROTATION = (1.0, 0.0, 0.0, 0.0)


class Edit(ABC):
    """One kind of edit, with its settings."""

    uncovers: ClassVar[bool] = False
    """Whether it uncovers regions that no photo may show."""

    @abstractmethod
    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """The edited scene; `weights` are how much of each Gaussian is selected, in [0, 1]."""


@dataclass(frozen=True)
class Extract(Edit):
    """Keep the objects alone."""

    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """See `Edit.apply`."""
        return edits.extract(scene, weights)


@dataclass(frozen=True)
class Remove(Edit):
    """Remove the objects and the floaters that they leave, and find the unobserved regions."""

    uncovers: ClassVar[bool] = True

    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """See `Edit.apply`."""
        return edits.remove(scene, weights, progress)


@dataclass(frozen=True)
class Hide(Edit):
    """Keep the objects' Gaussians, at an opacity too low to be drawn."""

    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """See `Edit.apply`."""
        return edits.hide(scene, weights)


@dataclass(frozen=True)
class Recolor(Edit):
    """Mix the objects' colors with another."""

    color: tuple[float, float, float]
    """RGB in [0, 1]."""
    strength: float = 0.5
    """In [0, 1]: 0 leaves the colors, 1 gives the new one alone."""

    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """See `Edit.apply`."""
        return edits.recolor(scene, weights, torch.tensor(self.color), self.strength)


@dataclass(frozen=True)
class Move(Edit):
    """Rotate and scale the objects about their center, and translate them."""

    by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """World units, along the world's axes."""
    rotation: tuple[float, float, float, float] = NO_ROTATION
    """A wxyz quaternion of any length above 0."""
    scale: float = 1.0
    """A factor above 0."""

    def apply(self, scene: Scene, weights: Float[Tensor, " n"], progress: Progress) -> Scene:
        """See `Edit.apply`."""
        by, rotation = torch.tensor(self.by), torch.tensor(self.rotation)
        return edits.move(scene, weights, by, rotation, self.scale, progress)


@dataclass(frozen=True)
class EditResult:
    """A scene that was written."""

    scene: Path
    overview: Path
    """A picture of the scene before and after the edit."""
    selected: int
    """Gaussians that the edit was applied to."""
    gaussians: int
    """Gaussians of the new scene."""
    unobserved: float | None = None
    """Of a removal, the fraction of the uncovered pixels that show what no photo shows."""

    @property
    def unobserved_picture(self) -> Path:
        """Views with the unobserved pixels hatched; written if there are any."""
        return self.scene / UNOBSERVED_PICTURE

    @property
    def unobserved_selection(self) -> Path:
        """The Gaussians that are visible mostly in such pixels; written if there are any."""
        return self.scene / UNOBSERVED

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        facts = {
            "scene": str(self.scene),
            "selected": self.selected,
            "gaussians": self.gaussians,
        }
        return facts if self.unobserved is None else facts | {"unseen": self.unobserved}


def edit_scene(
    scene: Path,
    output: Path,
    edit: Edit,
    *,
    objects: Sequence[int] = (),
    selections: Sequence[str] = (),
    device: Device = "auto",
    progress: Progress = SILENT,
) -> EditResult:
    """Write an edited copy of a scene, with a picture of it before and after.

    A removal also writes the unobserved regions that it uncovers, if there are any: as a picture
    and as a selection. The folder is written whole or not at all, also on Ctrl-C.

    Args:
        scene: A scene folder; it stays as it is.
        output: The folder of the new scene; one that an earlier edit wrote is replaced.
        edit: `Extract()`, `Remove()`, `Hide()`, `Recolor(color)` or `Move(by, rotation, scale)`.
        objects: Ids of the objects to edit.
        selections: Picks of the scene to edit: their names, folders or files.
        device: Where to compute.
        progress: Told of "silhouettes" by a removal or a move, and of "depth maps" and "unobserved
            regions" by a removal.

    Raises:
        SplatsegError: nothing is selected, an object or a pick does not exist, a setting is out of
            its range, nothing would be left, or `output` holds anything but an earlier edit.
    """
    refuse_foreign(output, scene)
    before = load_scene(scene).to(choose_device(device))
    weights = union_weights(before, scene, objects, selections)
    edited = edit.apply(before, weights, progress)
    history = [*before.config.get(EDITS, []), _line(edit, objects, selections)]
    # Photos do not show the edited scene: pictures of it are renders.
    capture = str(output.absolute())
    after = replace(edited, capture=capture, config=before.config | {EDITS: history}, metrics={})
    regions = None
    if edit.uncovers:
        frames = before.frames
        regions = find_unobserved(before.gaussians, weights, after.gaussians, frames, progress)
    _write(output, before, weights, after, regions)
    return EditResult(
        scene=output,
        overview=output / OVERVIEW,
        selected=int((weights >= SELECTED).sum()),
        gaussians=len(after.gaussians),
        unobserved=None if regions is None else regions.fraction,
    )


def refuse_foreign(folder: Path, scene: Path) -> None:
    """Refuse to replace a folder that holds anything but an earlier edit.

    Raises:
        SplatsegError: `folder` is the scene itself, or holds a file that no edit writes, or a
            scene that no edit wrote.
    """
    if folder.resolve() == scene.resolve():
        raise SplatsegError(
            f"`output` is the scene itself, {scene}",
            remedy="give the folder of a new one",
        )
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in found if name not in WRITTEN]
    if foreign or (found and EDITS not in load_scene(folder).config):
        what = foreign[0] if foreign else "a scene that no edit wrote"
        raise SplatsegError(
            f"{folder} holds {what}, and an edit replaces the whole folder",
            remedy="choose a new one with `output`",
        )


def _write(
    folder: Path,
    before: Scene,
    weights: Float[Tensor, " n"],
    after: Scene,
    regions: UnobservedRegions | None,
) -> None:
    """Write the scene with its pictures, whole or not at all."""
    with replacing_folder(folder) as new:
        save_scene(new, after)
        frames = views_of(before.gaussians, weights, before.frames)
        save_image(new / OVERVIEW, before_and_after(before, after, frames))
        if regions is None or regions.fraction == 0:
            return
        save_image(new / UNOBSERVED_PICTURE, unobserved_montage(after, regions))
        provenance = ("never photographed, behind what was removed",)
        selection = Selection(regions.gaussians.float(), fingerprint(after.gaussians), provenance)
        save_selection(new / UNOBSERVED, selection)


def _line(edit: Edit, objects: Sequence[int], selections: Sequence[str]) -> str:
    """Tells what was done, in the configuration of the new scene."""
    return f"{type(edit).__name__.lower()} {', '.join([*map(str, objects), *selections])}"
