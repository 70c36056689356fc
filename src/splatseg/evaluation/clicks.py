"""Clicks on objects whose truth is known."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from splatseg.evaluation.truth import Truth
from splatseg.segmentation import PointPrompt

Sizes = Mapping[str, tuple[int, int]]
"""(width, height) of photos by frame."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Click:
    """A click on an object in a training view, in pixels of the photo."""

    object_id: int
    frame: str
    x: float
    y: float

    @property
    def prompt(self) -> PointPrompt:
        """What a picker is given."""
        return PointPrompt(self.frame, self.x, self.y)


def click_on(
    truth: Truth, object_id: int, frame: str, pixel: tuple[int, int], photo_sizes: Sizes
) -> Click:
    """A click on the center of a truth map's pixel (row, column), in pixels of the photo."""
    row, column = pixel
    (map_height, map_width), (width, height) = truth.maps[frame].shape, photo_sizes[frame]
    x, y = (column + 0.5) * width / map_width, (row + 0.5) * height / map_height
    return Click(object_id=object_id, frame=frame, x=x, y=y)


def deepest_pixel(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """Row and column of the pixel farthest from the outside; the first in reading order."""
    padded = np.pad(mask, 1)  # with the outside, beyond the image border
    depth = np.asarray(ndimage.distance_transform_edt(padded))
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return int(row) - 1, int(column) - 1


def warn_of_others(names: Mapping[int, str], clicked: Iterable[int], why: str) -> None:
    """Log which objects have no click."""
    others = [name for object_id, name in names.items() if object_id not in set(clicked)]
    if others:
        log.warning("%s, so not clicked on and not scored: %s", why, ", ".join(others))
