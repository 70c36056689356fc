"""What `splatseg export` renders: masks in the photos or along a path, and videos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.export.masks import (
    ViewMasks,
    object_masks,
    path_masks,
    selection_masks,
    write_binary_masks,
    write_coco,
    write_label_maps,
    write_sa1b,
)
from splatseg.export.path import flight, focus, turntable
from splatseg.export.video import highlighted_frames, object_frames, scene_frames, write_video
from splatseg.geometry.camera import Camera
from splatseg.scene import Scene
from splatseg.segmentation import Picker, load_selection
from splatseg.segmentation.objects import bounds_of
from splatseg.segmentation.selection import SELECTED
from splatseg.workflows.selections import (
    SELECTION,
    find_selection,
    known_objects,
    object_weights,
    union_weights,
)

ViewFormat = Literal["masks", "label-maps", "coco", "sa1b", "video"]
VIEW_FORMATS: Final = ("masks", "label-maps", "coco", "sa1b", "video")
FOLDERS: Final = ("masks", "label-maps", "sa1b")


@dataclass(frozen=True)
class ViewFlags:
    """Which views masks and videos are of."""

    path: Literal["photos", "turntable", "flight"] | None = None
    """The photos' own views (masks, by default), a circle around the object (videos), or a flight
    through the places of the photos."""
    views: int = 120
    """How many views a turntable or a flight has; a video shows 30 a second."""
    in_scene: bool = False
    """Videos of an object: within its scene, which is dimmed, and not alone."""

    def cameras(self, scene: Scene, chosen: Float[Tensor, " n"] | None) -> list[Camera]:
        """Of a turntable around what is chosen, else around what the photos look at; or a flight.

        They are as large as the first working image.
        """
        if self.views < 1:
            raise SplatsegError(
                f"--views is {self.views}",
                expected="at least 1",
            )
        training = [frame.camera for frame in scene.frames if not frame.is_test]
        size = training[0].width, training[0].height
        if self.path == "flight":
            return flight(training, self.views, *size)
        if chosen is None or not bool((chosen >= SELECTED).any()):
            return turntable(training, focus(training), self.views, *size)
        low, high = bounds_of(scene.gaussians.select(chosen >= SELECTED))
        middle = ((low + high) / 2).double().cpu()
        radius = None if self.in_scene else float((high - low).norm() / 2)
        return turntable(training, middle, self.views, *size, radius)


def write_views(
    scene: Scene,
    folder: Path,
    output: Path,
    format: ViewFormat,
    objects: Sequence[int],
    selections: Sequence[str],
    flags: ViewFlags,
    out: Output,
) -> dict[str, Any]:
    """Write masks or a video of a scene in `folder`: what was written."""
    if format == "video":
        return _write_video(scene, folder, output, objects, selections, flags, out)
    if flags.in_scene:
        raise SplatsegError(f"--in-scene is for videos, and the format is {format}")
    names, views, count = _masks(scene, folder, objects, selections, flags)
    with out.progress("masks", count) as line:
        if format == "coco":
            write_coco(output, views, names, line.update)
        elif format == "masks":
            write_binary_masks(output, views, list(names), line.update)
        elif format == "label-maps":
            write_label_maps(output, views, line.update)
        else:
            write_sa1b(output, views, line.update)
    out.say(f"masks of {len(names)} things in {count} views")
    out.wrote(output, "ids as splatseg cluster lists them, or picks from 1 in the order given")
    things = [{"id": thing, "name": name} for thing, name in names.items()]
    return {"export": str(output), "format": format, "views": count, "things": things}


def _masks(
    scene: Scene,
    folder: Path,
    objects: Sequence[int],
    selections: Sequence[str],
    flags: ViewFlags,
) -> tuple[dict[int, str], Iterator[ViewMasks], int]:
    """The things, their masks view by view, and how many views there are."""
    in_photos = flags.path in (None, "photos")
    count = len(scene.frames) if in_photos else flags.views
    if selections:
        if objects:
            raise SplatsegError("masks are of objects or of picks: give --object or --selection")
        files = [find_selection(name, folder) for name in selections]
        picks = [load_selection(file, scene) for file in files]
        names = {number: _pick_name(file) for number, file in enumerate(files, start=1)}
        if in_photos:
            return names, selection_masks(Picker(scene), picks), count
        weights = {number: pick.weights for number, pick in enumerate(picks, start=1)}
    else:
        things = objects or known_objects(scene, folder)
        names = {thing: f"object {thing}" for thing in things}
        weights = {thing: object_weights(scene, folder, thing) for thing in things}
        if in_photos:
            assert scene.labels is not None
            wanted = torch.isin(scene.labels, scene.labels.new_tensor(list(things)))
            labels = torch.where(wanted, scene.labels, 0)
            return names, object_masks(scene.gaussians, labels, scene.frames), count
    is_all = not objects and not selections
    chosen = None if is_all else torch.stack(list(weights.values())).amax(dim=0)
    return names, path_masks(scene.gaussians, weights, flags.cameras(scene, chosen)), count


def _pick_name(file: Path) -> str:
    """What the pick in a file is called: its folder is, as pick writes it."""
    return file.resolve().parent.name if file.name == SELECTION else file.stem


def _write_video(
    scene: Scene,
    folder: Path,
    output: Path,
    objects: Sequence[int],
    selections: Sequence[str],
    flags: ViewFlags,
    out: Output,
) -> dict[str, Any]:
    if flags.path == "photos":
        raise SplatsegError(
            "a video is of a turntable or a flight",
            remedy="the photos are not in order",
        )
    if not objects and not selections:
        if flags.in_scene:
            raise SplatsegError("--in-scene needs an object: --object ID or --selection PICK")
        frames = scene_frames(scene.gaussians, flags.cameras(scene, None))
    else:
        weights = union_weights(scene, folder, objects, selections)
        cameras = flags.cameras(scene, weights)
        show = highlighted_frames if flags.in_scene else object_frames
        frames = show(scene.gaussians, weights, cameras)
    with out.progress("video", flags.views) as line:
        count = write_video(output, frames, report=line.update)
    out.wrote(output, f"{count} views, 30 a second")
    return {"export": str(output), "format": "video", "views": count}
