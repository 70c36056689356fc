"""Tidying one mask at the photo's size: holes, specks, and slivers along the photo's edge."""

from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

# A hole or a speck is smaller than this fraction of the photo (an eighth of a square degree, say,
# of a phone's view) and than this fraction of the mask: a marker's cap is no speck.
SPECK_OF_PHOTO = 3e-4
SPECK_OF_MASK = 0.1
# What lies along an edge of the photo and is thinner than this fraction of its shorter side is a
# sliver, of something that the photo does not show.
SLIVER_FRACTION = 0.012


def tidied(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask with its holes filled and its specks removed; empty if it was nothing but specks."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return mask
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[window]
    limit = min(SPECK_OF_PHOTO * mask.size, SPECK_OF_MASK * inside.sum())
    # A border joins what lies outside to one large region. The photo's edge closes a hole, though.
    height, width = mask.shape
    is_edge = (rows[0] == 0, rows[-1] == height - 1), (columns[0] == 0, columns[-1] == width - 1)
    filled = ~_without_small(~np.pad(inside, 1, constant_values=is_edge), limit)
    clean = np.zeros_like(mask)
    clean[window] = _without_small(filled[1:-1, 1:-1], limit)
    return clean


def is_sliver(mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a mask is a thin strip along an edge of the photo, or empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return True
    limit = SLIVER_FRACTION * min(mask.shape)
    extents = ((rows[0], rows[-1], mask.shape[0]), (columns[0], columns[-1], mask.shape[1]))
    return any(
        last - first + 1 < limit and (first == 0 or last == size - 1)
        for first, last, size in extents
    )


def _without_small(region: Bool[np.ndarray, "h w"], limit: float) -> Bool[np.ndarray, "h w"]:
    """`region` less its connected parts of fewer than `limit` pixels."""
    found: Any = ndimage.label(region)
    labels, count = found
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    kept = areas >= limit
    kept[0] = False
    return kept[labels]
