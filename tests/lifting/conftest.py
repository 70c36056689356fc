from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from splatseg.lifting.association import MaskAssociation


@pytest.fixture(scope="session")
def incidence_of() -> Callable[..., MaskAssociation]:
    """Makes an incidence from arrays: [n, s] inside, [n, v] visible, the view of each segment."""
    return make_incidence


def make_incidence(
    inside: np.ndarray, visible: np.ndarray, view: list[int], weight: np.ndarray | None = None
) -> MaskAssociation:
    count = inside.shape[1]
    return MaskAssociation(
        inside=sparse.csr_array(inside.astype(np.float32)),
        visible=visible.astype(bool),
        weight=np.ones(len(inside), np.float32) if weight is None else weight,
        view=np.array(view, dtype=np.int64),
        segment=np.arange(count),
        share=np.full(count, 0.01, np.float32),
    )
