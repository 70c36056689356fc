"""Three photos of one size, and masks of one of them that overlap and nest."""

import numpy as np
import pytest

from splatseg.masks.formats import Photo


@pytest.fixture
def photos():
    """Frame to photo; one name has a dot of its own."""
    files = ["cam0/0001.jpg", "cam0/0002.jpg", "cam1/IMG.3.JPG"]
    return {name.rsplit(".", 1)[0]: Photo(name, (8, 6)) for name in files}


@pytest.fixture
def masks():
    """A whole, its part, and something beside them: no two the same under a flip or a turn."""
    masks = np.zeros((3, 6, 8), dtype=bool)
    masks[0, 1:5, 0:4] = masks[1, 2:4, 1:3] = masks[2, 0:2, 5:8] = True
    return masks


@pytest.fixture
def as_set():
    """Masks without their order."""
    return lambda masks: {(mask.shape, mask.tobytes()) for mask in masks}
