"""Three photos of one size, and masks of one of them that overlap and nest."""

import numpy as np
import pytest

from splatseg.masks.formats import Photo

WIDTH, HEIGHT = 8, 6


@pytest.fixture
def photos():
    """Frame to photo; one name has a dot of its own."""
    files = ["cam0/0001.jpg", "cam0/0002.jpg", "cam1/IMG.3.JPG"]
    return {name.rsplit(".", 1)[0]: Photo(name, (WIDTH, HEIGHT)) for name in files}


@pytest.fixture
def masks():
    """A whole, its part, and something beside them: no two the same under a flip or a turn."""
    masks = np.zeros((3, HEIGHT, WIDTH), dtype=bool)
    masks[0, 1:5, 0:4] = True
    masks[1, 2:4, 1:3] = True
    masks[2, 0:2, 5:8] = True
    return masks


@pytest.fixture
def as_set():
    """Masks, or the segments they became, without their order."""

    def as_set(masks):
        stack = masks if isinstance(masks, np.ndarray) else masks.masks()
        return {(mask.shape, mask.tobytes()) for mask in stack}

    return as_set
