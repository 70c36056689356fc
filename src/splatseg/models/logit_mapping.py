"""From a window's logit grid to the photo's grid of masks, and back."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int16, Int64

from splatseg.models.segmenter import EncodedPhoto

ROUNDING = 1e-6  # of a product of floats that should be whole


@dataclass(frozen=True)
class Window:
    """A rectangle of a photo, in its pixels."""

    x: int
    y: int
    width: int
    height: int

    def inner_border(self, photo_width: int, photo_height: int) -> tuple[bool, bool, bool, bool]:
        """Whether its left, top, right and bottom sides cut through the photo."""
        return (
            self.x > 0,
            self.y > 0,
            self.x + self.width < photo_width,
            self.y + self.height < photo_height,
        )


class LogitMapping:
    """Where the logits of one window lie on a photo's masks.

    `photo_shape` and `shape` are (height, width) of the photo and of its masks.
    """

    def __init__(
        self,
        window: Window,
        encoded: EncodedPhoto,
        photo_shape: tuple[int, int],
        shape: tuple[int, int],
    ) -> None:
        self._window, self._encoded = window, encoded
        self._photo_shape, self._shape = photo_shape, shape
        self.logits_shape = (
            math.ceil(encoded.height * encoded.scale_y - ROUNDING),
            math.ceil(encoded.width * encoded.scale_x - ROUNDING),
        )
        rows, y = _centers(shape[0], photo_shape[0], window.y, window.height)
        columns, x = _centers(shape[1], photo_shape[1], window.x, window.width)
        self._inside = np.s_[rows, columns]
        self._y, self._x = y * encoded.scale_y, x * encoded.scale_x

    def masks(self, logits: Float16[np.ndarray, "n rows columns"]) -> Bool[np.ndarray, "n h w"]:
        """Masks on the photo's grid, from logits interpolated linearly."""
        placed = np.zeros((len(logits), *self._shape), dtype=bool)
        for mask, grid in zip(placed, logits.astype(np.float32), strict=True):
            tall = _interpolated(grid, self._y)
            mask[self._inside] = _interpolated(tall.T, self._x).T > 0
        return placed

    def count(
        self, counts: Int16[np.ndarray, "h w"], mask: Bool[np.ndarray, "rows columns"]
    ) -> None:
        """Add 1 to the photo's grid where `mask`, on the logit grid, is."""
        rows = self._y.astype(np.int64).clip(0, mask.shape[0] - 1)
        columns = self._x.astype(np.int64).clip(0, mask.shape[1] - 1)
        counts[self._inside] += mask[rows[:, None], columns]

    def looked_up(
        self, counts: Int16[np.ndarray, "h w"], points: Float32[np.ndarray, "n 2"]
    ) -> Int16[np.ndarray, " n"]:
        """The photo's grid at points of the window."""
        (height, width), (photo_height, photo_width) = self._shape, self._photo_shape
        x = (points[:, 0] + self._window.x) * width / photo_width
        y = (points[:, 1] + self._window.y) * height / photo_height
        rows = y.astype(np.int64).clip(0, height - 1)
        return counts[rows, x.astype(np.int64).clip(0, width - 1)]

    def boxes(self, masks: Bool[np.ndarray, "n rows columns"]) -> Float32[np.ndarray, "n 4"]:
        """x0, y0, x1, y1 around each mask, in the window's pixels; no mask is empty."""
        x0, x1 = _extent(np.any(masks, axis=1))
        y0, y1 = _extent(np.any(masks, axis=2))
        scale = np.array([self._encoded.scale_x, self._encoded.scale_y] * 2)
        size = np.array([self._window.width, self._window.height] * 2)
        return (np.stack([x0, y0, x1, y1], axis=1) / scale).clip(0, size).astype(np.float32)

    def is_cut(self, masks: Bool[np.ndarray, "n rows columns"]) -> Bool[np.ndarray, " n"]:
        """Which masks reach a side of the window that cuts through the photo."""
        height, width = self._photo_shape
        left, top, right, bottom = self._window.inner_border(width, height)
        border = np.zeros(masks.shape[1:], dtype=bool)
        border[:, :1], border[:1] = left, top
        border[:, -1:] |= right
        border[-1:] |= bottom
        return np.any(masks & border, axis=(1, 2))


def on_image(
    encoded: EncodedPhoto, logits: Float32[np.ndarray, "n rows columns"]
) -> Bool[np.ndarray, "n h w"]:
    """Where logits that cover an image are positive, at the image's size."""
    shape = encoded.height, encoded.width
    mapping = LogitMapping(Window(0, 0, encoded.width, encoded.height), encoded, shape, shape)
    return mapping.masks(logits.astype(np.float16))


def _centers(
    count: int, photo_size: int, start: int, length: int
) -> tuple[slice, Float32[np.ndarray, " m"]]:
    """Which of `count` pixels along a photo's side have their centers in a window, and where."""
    centers = (np.arange(count) + 0.5) * photo_size / count - start
    inside = np.flatnonzero((centers >= 0) & (centers < length))
    stretch = slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    return stretch, centers[stretch].astype(np.float32)


def _interpolated(
    grid: Float32[np.ndarray, "rows columns"], y: Float32[np.ndarray, " m"]
) -> Float32[np.ndarray, "m columns"]:
    """Rows of a grid whose row k is at k + 0.5; beyond the first and the last, these."""
    y = (y - np.float32(0.5)).clip(0, len(grid) - 1)
    above = y.astype(np.int64)
    below = (above + 1).clip(max=len(grid) - 1)
    fraction = (y - above).astype(np.float32)[:, None]
    return grid[above] * (1 - fraction) + grid[below] * fraction


def _extent(
    any_in_line: Bool[np.ndarray, "n m"],
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """First line, and the one after the last, that each mask is in."""
    first = any_in_line.argmax(axis=1)
    return first, any_in_line.shape[1] - any_in_line[:, ::-1].argmax(axis=1)
