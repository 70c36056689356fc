"""Masks of objects or selections, in the photos' pixels or along a path, as files of other tools.

The masks of a view are made when the writer asks for them, so a capture of any length takes the
memory of one view. Ids are above 0; an instance keeps its id in all views. Masks may overlap.
Progress counts views, in the stage "masks".
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from splatseg.progress import SILENT, Progress, tracked
from splatseg.render import project
from splatseg.segmentation import Picker, Selection, render_labels
from splatseg.segmentation.selection import weights_margin


@dataclass(frozen=True, eq=False)
class ViewMasks:
    """The masks of the instances that one view shows."""

    name: str
    """The frame's, or that of a view along a path; a relative path without suffix."""
    photo: str
    """The photo, relative to the capture; of a view along a path the name of a picture of it."""
    ids: tuple[int, ...]
    """Of `segments`, in their order."""
    segments: Segments

    def label_map(self) -> Integer[np.ndarray, "h w"]:
        """The id at each pixel, 0 for none; of overlapping masks the smallest."""
        return np.array([0, *self.ids])[self.segments.label_map()]


def object_masks(
    gaussians: Gaussians,
    labels: Int[Tensor, " n"],
    frames: Sequence[Frame],
    progress: Progress = SILENT,
) -> Iterator[ViewMasks]:
    """The masks of objects in each photo. `labels` are their ids; those not above 0 are none."""
    for frame in tracked(frames, "masks", progress):
        undistorted = render_labels(gaussians, labels, frame).cpu().numpy()
        ids = frame.lens.warp_to_photo(undistorted.astype(np.int32), nearest=True)
        shown = tuple(np.unique(ids[ids > 0]).tolist())
        yield ViewMasks(frame.name, frame.photo, shown, Segments.from_label_map(ids))


def selection_masks(
    picker: Picker,
    selections: Sequence[Selection],
    frames: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> Iterator[ViewMasks]:
    """The masks of selections, whose ids count from 1, in the photos of `frames`, by default all.

    Raises:
        SplatsegError: a frame that the scene does not have.
    """
    scene = picker.scene
    chosen = scene.frames if frames is None else [scene.frame(name) for name in frames]
    for frame in tracked(chosen, "masks", progress):
        masks = {
            number: picker.mask(selection, frame.name)
            for number, selection in enumerate(selections, start=1)
        }
        yield _shown(frame.name, frame.photo, masks)


def path_masks(
    gaussians: Gaussians,
    weights: Mapping[int, Float[Tensor, " n"]],
    cameras: Sequence[Camera],
    progress: Progress = SILENT,
) -> Iterator[ViewMasks]:
    """The masks of instances in the views of a path, which are called `view_00001` and so on.

    `weights` are how much of each Gaussian belongs to the instance of each id, in [0, 1].
    """
    for number, camera in enumerate(tracked(cameras, "masks", progress), start=1):
        view = project(gaussians, camera)
        masks = {
            instance: (weights_margin(gaussians, view, each) >= 0).cpu().numpy()
            for instance, each in weights.items()
        }
        name = f"view_{number:05}"
        yield _shown(name, f"{name}.png", masks)


def write_binary_masks(folder: Path, views: Iterable[ViewMasks], ids: Collection[int]) -> None:
    """Write a folder of `ID/FRAME.png`, 255 inside, for every view and id.

    The folder replaces one that is there.
    """
    with replacing_folder(folder) as new:
        for view in views:
            for instance in ids:
                save_mask(new / str(instance) / f"{view.name}.png", _mask_of(view, instance))


def write_label_maps(folder: Path, views: Iterable[ViewMasks]) -> None:
    """Write a folder of `FRAME.png`, the ids at each pixel, 0 for none.

    In 8 bits where a view's ids fit, else in 16. The folder replaces one that is there.
    """
    with replacing_folder(folder) as new:
        for view in views:
            write_label_map(new / f"{view.name}.png", view.label_map())


def write_sa1b(folder: Path, views: Iterable[ViewMasks]) -> None:
    """Write a folder of `FRAME.json` as SA-1B has them: a mask set.

    SA-1B has no ids across views; `splatseg.ids` in each file has them, in the masks' order. The
    folder replaces one that is there.
    """
    with replacing_folder(folder) as new:
        for view in views:
            file_name = PurePosixPath(view.photo).name
            path = new / f"{view.name}.json"
            write_segments(path, view.segments, file_name, {"ids": list(view.ids)})


def write_coco(path: Path, views: Iterable[ViewMasks], names: Mapping[int, str]) -> None:
    """Write COCO instances JSON, whole or not at all.

    Every instance is a category, called as in `names`. It has one annotation, in run lengths, in
    each view that shows it, even if it is seen in several pieces.

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
    categories = [{"id": instance, "name": name} for instance, name in sorted(names.items())]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_bytes(path, json.dumps(content).encode())


def _shown(name: str, photo: str, masks: Mapping[int, Bool[np.ndarray, "h w"]]) -> ViewMasks:
    """The masks that have a pixel, by their ids."""
    ids = tuple(instance for instance, mask in masks.items() if mask.any())
    stack = np.stack(list(masks.values()))
    return ViewMasks(name, photo, ids, Segments.from_masks(stack[stack.any(axis=(1, 2))]))


def _mask_of(view: ViewMasks, instance: int) -> Bool[np.ndarray, "h w"]:
    if instance in view.ids:
        return view.segments.mask(view.ids.index(instance))
    return np.zeros((view.segments.height, view.segments.width), dtype=bool)


def _annotations(view: ViewMasks) -> list[dict[str, Any]]:
    """A view's masks as COCO annotations without `id` and `image_id`."""
    size = [view.segments.height, view.segments.width]
    return [
        {
            "category_id": instance,
            "segmentation": {"size": size, "counts": counts.decode("ascii")},
            "bbox": box.tolist(),
            "area": int(area),
            "iscrowd": 0,
        }
        for instance, counts, box, area in zip(
            view.ids, view.segments.rles, view.segments.boxes, view.segments.areas, strict=True
        )
    ]
