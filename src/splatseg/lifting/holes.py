"""Gaussians of no object in the middle of one.

A Gaussian that few masks hold, of a logo or at the seam of two parts, ends up without an object,
and a click on it selects whatever else has none: the table. Where nearly all around it belongs to
one object, so does it.
"""

import numpy as np
from jaxtyping import Float32, Int64
from scipy.spatial import KDTree

NEIGHBORS = 10
MIN_FRACTION = 0.8  # of the neighbors' weight


def fill_holes(
    labels: Int64[np.ndarray, " n"],
    means: Float32[np.ndarray, "n 3"],
    weight: Float32[np.ndarray, " n"],
) -> Int64[np.ndarray, " n"]:
    """`labels` with those 0 replaced that have one object around them; `weight` is how much counts.

    Objects do not grow over what surrounds them: along their edges neither side has such a share.
    """
    holes = np.flatnonzero(labels == 0)
    if len(holes) == 0 or len(labels) <= NEIGHBORS:
        return labels
    _, nearest = KDTree(means).query(means[holes], k=NEIGHBORS + 1)
    nearest = np.asarray(nearest)[:, 1:]  # the first is itself
    around, counts = labels[nearest], weight[nearest]
    shares = np.stack(
        [(counts * (around == around[:, [k]])).sum(axis=1) for k in range(NEIGHBORS)], axis=1
    )
    best = shares.argmax(axis=1)
    rows = np.arange(len(holes))
    is_filled = shares[rows, best] >= MIN_FRACTION * counts.sum(axis=1)
    filled = labels.copy()
    filled[holes[is_filled]] = around[rows, best][is_filled]
    return filled
