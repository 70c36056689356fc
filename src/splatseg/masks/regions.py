"""Overlapping masks as one map: the regions into which their outlines cut a view.

All pixels of a region lie in the same segments. Region 0 lies in none; a view of some fifty masks
has a few hundred.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from splatseg.masks.segments import Segments

KEY_SEED = 0  # of the numbers that tell sets of segments apart


@dataclass(frozen=True, eq=False)
class Regions:
    """A view cut along the outlines of all its segments."""

    map: Int64[np.ndarray, "h w"]
    """The region of each pixel."""
    membership: Bool[np.ndarray, "r s"]
    """[region, segment]: whether the region lies in the segment; the first row is False."""


def cut_into_regions(segments: Segments) -> Regions:
    """Cut a view along the outlines of its segments."""
    # A pixel's set of segments is known by the sum of their keys, random numbers of 64 bits: two of
    # a thousand sets have the same sum once in 10^13 views.
    rng = np.random.default_rng(KEY_SEED)
    keys = rng.integers(1, 2**63, size=len(segments), dtype=np.uint64)
    sums = np.zeros((segments.height, segments.width), dtype=np.uint64)
    boxes = segments.boxes
    for index, key in enumerate(keys):
        x, y, width, height = boxes[index]
        window = np.s_[y : y + height, x : x + width]
        sums[window] += np.where(segments.mask(index)[window], key, np.uint64(0))
    found, first, inverse = np.unique(sums, return_index=True, return_inverse=True)
    has_outside = len(found) > 0 and found[0] == 0
    membership = (
        np.stack([segments.mask(index).ravel()[first] for index in range(len(segments))], axis=1)
        if len(segments)
        else np.zeros((len(found), 0), dtype=bool)
    )
    if not has_outside:
        inverse, membership = inverse + 1, np.pad(membership, ((1, 0), (0, 0)))
    return Regions(inverse.reshape(sums.shape).astype(np.int64), membership)
