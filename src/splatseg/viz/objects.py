"""Pictures of a clustered scene's objects, and of label maps."""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from splatseg.capture.resampling import resize
from splatseg.images import AnyRGB, scaled
from splatseg.scene import Scene
from splatseg.scene.photos import evenly_spaced, photo_or_render
from splatseg.segmentation import render_labels
from splatseg.segmentation.objects import SceneObject
from splatseg.viz.labels import number_labels, paint_labels
from splatseg.viz.montages import captioned_montage, montage
from splatseg.viz.pictures import highlight

LABEL_VIEWS = 3  # of a montage of label maps
LABEL_CELL = 480  # pixels
THUMBNAIL = 192  # pixels, width and height
THUMBNAIL_MARGIN = 0.15  # of the object's larger side, on each side
THUMBNAIL_COLUMNS = 6


def thumbnails(
    scene: Scene, labels: Int[Tensor, " n"], best: Mapping[int, str | None]
) -> dict[int, AnyRGB]:
    """Each object, by id, cut out of the frame that shows it `best`; None has no thumbnail.

    A frame is rendered once for all its objects.
    """
    found = {}
    for frame in scene.frames:
        ids = [number for number, name in best.items() if name == frame.name]
        if not ids:
            continue
        shown = frame.lens.warp_to_photo(
            render_labels(scene.gaussians, labels, frame).cpu().numpy(), nearest=True
        )
        photo = photo_or_render(scene, frame)
        found |= {
            number: cut_out(photo, shown == number) for number in ids if (shown == number).any()
        }
    return found


def cut_out(photo: AnyRGB, mask: Bool[np.ndarray, "h w"]) -> AnyRGB:
    """A square of the photo around a mask, which is outlined; THUMBNAIL pixels wide."""
    rows, columns = np.nonzero(mask)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    half = int(side * (0.5 + THUMBNAIL_MARGIN)) + 1
    middle = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    padded = np.pad(photo, ((half, half), (half, half), (0, 0)))
    window = np.s_[middle[0] : middle[0] + 2 * half, middle[1] : middle[1] + 2 * half]
    square = scaled(padded[window], THUMBNAIL)
    return highlight(square, resize(np.pad(mask, half)[window], THUMBNAIL, THUMBNAIL, nearest=True))


def thumbnail_montage(
    pictures: Mapping[int, AnyRGB], objects: Iterable[SceneObject]
) -> AnyRGB | None:
    """The thumbnails of what is no background, captioned; None if there is none."""
    shown = [row for row in objects if row.kind == "object" and row.id in pictures]
    if not shown:
        return None
    captions = [f"{row.id}: {row.gaussians}" for row in shown]
    return captioned_montage(
        [pictures[row.id] for row in shown], captions, THUMBNAIL_COLUMNS, THUMBNAIL
    )


def cluster_montage(scene: Scene, labels: Int[Tensor, " n"]) -> AnyRGB:
    """A spread of views, each beside its objects with their ids."""
    maps = {
        frame.name: frame.lens.warp_to_photo(
            render_labels(scene.gaussians, labels, frame).cpu().numpy(), nearest=True
        )
        for frame in evenly_spaced(scene.frames, LABEL_VIEWS)
    }
    return label_montage(scene, maps, int(labels.max()), LABEL_CELL)


def label_montage(
    scene: Scene,
    maps: Mapping[str, Integer[np.ndarray, "_ _"]],
    count: int,
    cell_width: int,
) -> AnyRGB:
    """Photos, each beside its label map of ids up to `count`, by frame.

    Drawn at the montage's size, for thin lines on a large photo vanish when it is shrunk.
    """
    rows = []
    for name, labels in maps.items():
        photo = scaled(photo_or_render(scene, scene.frame(name)), cell_width)
        height, width = photo.shape[:2]
        ids = resize(labels, width, height, nearest=True)
        rows.append([photo, number_labels(paint_labels(ids, count), ids)])
    return montage(rows, ["photo", "objects, with their ids"], cell_width)
