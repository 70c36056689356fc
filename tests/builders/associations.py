"""Mask–Gaussian associations made from arrays."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from splatseg.lifting.association import MaskAssociation


def association_of(
    inside: np.ndarray,
    visible: np.ndarray,
    view: Sequence[int],
    weight: np.ndarray | None = None,
    fraction: float = 0.01,
) -> MaskAssociation:
    """From [n, s] inside, [n, v] visible, and the view of each segment."""
    count = inside.shape[1]
    return MaskAssociation(
        inside=sparse.csr_array(inside.astype(np.float32)),
        visible=visible.astype(bool),
        weight=np.ones(len(inside), np.float32) if weight is None else weight,
        view=np.array(view, dtype=np.int64),
        segment=np.arange(count),
        fraction=np.full(count, fraction, np.float32),
    )
