"""Masks over a photo."""

import numpy as np
from jaxtyping import Bool, Int64
from scipy import ndimage

from splatseg.images import RGB
from splatseg.masks import Segments
from splatseg.viz.labels import label_palette

TINT = 0.5  # fraction of a mask's color in its pixels
OUTLINE_FRACTION = 1 / 800  # of a picture's width: how thick a subpart's outline is
OUTLINE_STRENGTH = 0.75  # fraction of a mask's color in its outline; the rest is white


def paint_segments(photo: RGB, segments: Segments) -> RGB:
    """The photo with every mask tinted and outlined in its color, small masks over large ones.

    Masks of another size than the photo's are scaled. Where they are nested the innermost tints,
    but the outlines of all are drawn: a whole's is the thickest, so that it shows beside a part's
    along a border that they share. Along the photo's edge there are none.
    """
    height, width = photo.shape[:2]
    if (segments.height, segments.width) != (height, width):
        segments = segments.resized(height, width)
    palette = label_palette(len(segments)).astype(np.float32)
    labels, boxes = segments.label_map(), segments.boxes
    gray = photo.mean(axis=-1, keepdims=True, dtype=np.float32)
    tinted = (1 - TINT) * gray + (TINT * palette)[labels]
    painted = np.where(labels[..., None] > 0, tinted.astype(np.uint8), photo)
    outlines = (255 - OUTLINE_STRENGTH * (255 - palette)).astype(np.uint8)
    thinnest = max(1, round(OUTLINE_FRACTION * width))
    depths = segments.nesting().depth
    for index in np.argsort(-segments.areas, kind="stable").tolist():
        thickness = thinnest * max(1, 3 - int(depths[index]))
        window = _window(boxes[index], thickness)
        edge = _inner_edge(segments.mask(index)[window], thickness)
        painted[window][edge] = outlines[index + 1]
    return painted


def _window(box: Int64[np.ndarray, " 4"], margin: int) -> tuple[slice, slice]:
    """The rows and columns of a box x, y, width, height and of a margin around it."""
    x, y, width, height = box.tolist()
    return np.s_[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]


def _inner_edge(mask: Bool[np.ndarray, "h w"], thickness: int) -> Bool[np.ndarray, "h w"]:
    """The mask's pixels at most `thickness` from one outside it; the array's border is none."""
    near = ndimage.maximum_filter(~mask, size=2 * thickness + 1, mode="nearest")
    return mask & np.asarray(near, dtype=bool)
