"""Gaussians without an object in the middle of one.

A Gaussian that few masks hold, of a logo or at the seam of two parts, has no object, and a click on
it selects all else that has none, such as the table. It gets the object that nearly all of its
neighbors belong to.
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
    """Replace those `labels` 0 that have one object around them; `weight` is a neighbor's vote.

    Objects do not grow at their edges: neither side has MIN_FRACTION of the neighbors there.
    """
    holes = np.flatnonzero(labels == 0)
    if len(holes) == 0 or len(labels) <= NEIGHBORS:
        return labels
    _, nearest = KDTree(means).query(means[holes], k=NEIGHBORS + 1)
    nearest = np.asarray(nearest)[:, 1:]  # the first is itself
    around, counts = labels[nearest], weight[nearest]
    votes = np.stack(
        [(counts * (around == around[:, [k]])).sum(axis=1) for k in range(NEIGHBORS)], axis=1
    )
    best = votes.argmax(axis=1)
    rows = np.arange(len(holes))
    is_filled = votes[rows, best] >= MIN_FRACTION * counts.sum(axis=1)
    filled = labels.copy()
    filled[holes[is_filled]] = around[rows, best][is_filled]
    return filled
