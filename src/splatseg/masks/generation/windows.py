"""Where a segmenter looks, and where it is asked: windows of a photo, and points in them.

A window is the whole photo or a crop, which the model sees at a higher resolution: things that are
too small for it in the photo are large enough there.
"""

import numpy as np
from jaxtyping import Float32

from splatseg.models.logit_mapping import Window

CROP_OVERLAP = 1 / 3  # of a crop's side: what a border cuts in one crop is whole in its neighbor


def crops(width: int, height: int, per_side: int) -> list[Window]:
    """`per_side` x `per_side` windows that cover a photo and overlap."""
    columns, rows = _spans(width, per_side), _spans(height, per_side)
    return [Window(x, y, w, h) for y, h in rows for x, w in columns]


def grid_rounds(width: int, height: int, n: int) -> list[Float32[np.ndarray, "m 2"]]:
    """The centers of n x n cells in four rounds, each an even spread over the whole window.

    The rounds matter where prompts are skipped that earlier ones have made needless.
    """
    steps = (np.arange(n, dtype=np.float32) + np.float32(0.5)) / np.float32(n)
    points = np.stack(np.meshgrid(steps * width, steps * height), axis=-1).astype(np.float32)
    starts = ((0, 0), (1, 1), (0, 1), (1, 0))
    rounds = [points[row::2, column::2].reshape(-1, 2) for row, column in starts]
    return [points for points in rounds if len(points) > 0]


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """Start and length of `count` overlapping stretches of `size` pixels."""
    length = min(size, round(size / (count - (count - 1) * CROP_OVERLAP)))
    starts = np.linspace(0, size - length, count).round().astype(int)
    return [(start, length) for start in starts.tolist()]
