"""Masks of objects or selections, in the photos' pixels or along a path, as files of other tools.

Each view's masks are made when the writer comes to it, so that a capture of any length takes the
memory of one view. Ids are above 0; a thing keeps its id in all views. A view's masks may overlap.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder, write_bytes
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import save_mask
from splatseg.masks import Segments, write_label_map, write_segments
from splatseg.render import project
from splatseg.segmentation import Picker, Selection, render_labels
from splatseg.segmentation.selection import weights_margin

Report = Callable[[int], None]


def silent(done: int) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True, eq=False)
class ViewMasks:
    """What one view shows of things: those that it does not show are left out."""

    name: str
    """The frame's, or of a view that is no photo another that is a relative path without suffix."""
    photo: str
    """The file that the masks lie on, relative to the capture, or what it would be called."""
    ids: tuple[int, ...]
    """Of the things that `segments` are of, in their order."""
    segments: Segments

    def label_map(self) -> Integer[np.ndarray, "h w"]:
        """The id at each pixel, 0 for none; of overlapping masks the smaller shows."""
        return np.array([0, *self.ids])[self.segments.label_map()]


def object_masks(
    gaussians: Gaussians, labels: Int[Tensor, " n"], frames: Sequence[Frame]
) -> Iterator[ViewMasks]:
    """What each frame's photo shows of the objects whose ids, where above 0, are `labels`."""
    for frame in frames:
        working = render_labels(gaussians, labels, frame).cpu().numpy()
        ids = frame.lens.warp_to_photo(working.astype(np.int32), nearest=True)
        shown = tuple(np.unique(ids[ids > 0]).tolist())
        yield ViewMasks(frame.name, frame.photo, shown, Segments.from_label_map(ids))


def selection_masks(
    picker: Picker, selections: Sequence[Selection], frames: Sequence[str] | None = None
) -> Iterator[ViewMasks]:
    """What each frame's photo, by default of all, shows of the selections: ids count from 1."""
    scene = picker.scene
    for frame in scene.frames if frames is None else map(scene.frame, frames):
        masks = {
            number: picker.mask(selection, frame.name)
            for number, selection in enumerate(selections, start=1)
        }
        yield _shown(frame.name, frame.photo, masks)


def path_masks(
    gaussians: Gaussians, weights: Mapping[int, Float[Tensor, " n"]], cameras: Iterable[Camera]
) -> Iterator[ViewMasks]:
    """What each camera of a path sees of things, given by how much of each Gaussian is of an id.

    Views are called `view_00001` and so on.
    """
    for number, camera in enumerate(cameras, start=1):
        view = project(gaussians, camera)
        masks = {
            thing: (weights_margin(gaussians, view, each) >= 0).cpu().numpy()
            for thing, each in weights.items()
        }
        name = f"view_{number:05}"
        yield _shown(name, f"{name}.png", masks)


def write_binary_masks(
    folder: Path, views: Iterable[ViewMasks], ids: Sequence[int], report: Report = silent
) -> int:
    """Write a folder of `ID/FRAME.png`, 255 inside, for every view and id: how many views.

    The folder takes the place of one that is there. `report` is told how many views are done.
    """
    with replacing_folder(folder) as new:
        count = 0
        for count, view in enumerate(views, start=1):
            for thing in ids:
                save_mask(new / str(thing) / f"{view.name}.png", _mask_of(view, thing))
            report(count)
    return count


def write_label_maps(folder: Path, views: Iterable[ViewMasks], report: Report = silent) -> int:
    """Write a folder of `FRAME.png`, the ids at each pixel, 0 for none: how many views.

    In 8 bits where a view's ids fit, else in 16. The folder takes the place of one that is there.
    """
    with replacing_folder(folder) as new:
        count = 0
        for count, view in enumerate(views, start=1):
            write_label_map(new / f"{view.name}.png", view.label_map())
            report(count)
    return count


def write_sa1b(folder: Path, views: Iterable[ViewMasks], report: Report = silent) -> int:
    """Write a folder of `FRAME.json` as SA-1B has them, a mask set: how many views.

    SA-1B has no ids across views; `splatseg.ids` in each file has them, in the masks' order. The
    folder takes the place of one that is there.
    """
    with replacing_folder(folder) as new:
        count = 0
        for count, view in enumerate(views, start=1):
            file_name = PurePosixPath(view.photo).name
            path = new / f"{view.name}.json"
            write_segments(path, view.segments, file_name, {"ids": list(view.ids)})
            report(count)
    return count


def write_coco(
    path: Path, views: Iterable[ViewMasks], names: Mapping[int, str], report: Report = silent
) -> int:
    """Write COCO instances JSON, whole or not at all: how many masks.

    Every thing is a category, with the name in `names`, and has one annotation in each view that
    shows it, in run lengths. A mask of a thing is one, in however many pieces it is seen.

    Raises:
        SplatsegError: a view shows an id that `names` lacks.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, view in enumerate(views, start=1):
        width, height = view.segments.width, view.segments.height
        file_name = {"id": number, "file_name": view.photo}
        images.append(file_name | {"width": width, "height": height})
        for row in _annotations(view):
            if row["category_id"] not in names:
                raise SplatsegError(
                    f"{view.name} shows the id {row['category_id']}, which has no name",
                    expected=f"one of {', '.join(map(str, names)) or 'none'}",
                )
            annotations.append({"id": len(annotations) + 1, "image_id": number} | row)
        report(number)
    categories = [{"id": thing, "name": name} for thing, name in sorted(names.items())]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_bytes(path, json.dumps(content).encode())
    return len(annotations)


def _shown(name: str, photo: str, masks: Mapping[int, Bool[np.ndarray, "h w"]]) -> ViewMasks:
    """The masks that have a pixel, by their ids."""
    ids = tuple(thing for thing, mask in masks.items() if mask.any())
    stack = np.stack(list(masks.values()))
    return ViewMasks(name, photo, ids, Segments.from_masks(stack[stack.any(axis=(1, 2))]))


def _mask_of(view: ViewMasks, thing: int) -> Bool[np.ndarray, "h w"]:
    if thing in view.ids:
        return view.segments.mask(view.ids.index(thing))
    return np.zeros((view.segments.height, view.segments.width), dtype=bool)


def _annotations(view: ViewMasks) -> list[dict[str, Any]]:
    """A view's masks in COCO's terms, but for `id` and `image_id`."""
    size = [view.segments.height, view.segments.width]
    return [
        {
            "category_id": thing,
            "segmentation": {"size": size, "counts": counts.decode("ascii")},
            "bbox": box.tolist(),
            "area": int(area),
            "iscrowd": 0,
        }
        for thing, counts, box, area in zip(
            view.ids, view.segments.rles, view.segments.boxes, view.segments.areas, strict=True
        )
    ]
