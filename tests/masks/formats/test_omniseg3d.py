"""OmniSeg3D's patches and their correlation, and the masks that they come from."""

import numpy as np
import pytest
from builders.mask_files import omniseg3d, patches
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.masks.formats import read_masks
from splatseg.masks.formats.omniseg3d import masks_of_patches


def came_back(masks):
    arrays = patches(masks)
    found = masks_of_patches(arrays["correlation"])[:, arrays["indices"]]
    distinct = {mask.tobytes() for mask in masks}
    return {mask.tobytes() for mask in found} == distinct and len(found) == len(distinct)


def test_masks_that_cover_every_pixel_come_back(masks):
    assert came_back(np.concatenate([masks, ~masks.any(axis=0)[None]]))


@pytest.mark.parametrize("count", [2, 3])
def test_neighbors_that_share_a_sliver_stay_apart(count):
    """Neither their union nor what they share is taken for a mask, in a larger one or not."""
    masks = np.zeros((3, 6, 8), dtype=bool)
    masks[0] = masks[1, :, 0:4] = masks[2, :, 3:6] = True
    assert came_back(masks[-count:])


@st.composite
def nested_masks(draw):
    """Boxes in boxes, side by side: intervals of one row split at random."""
    masks = []

    def split(start, end, depth):
        if end - start < 1 or depth == 0:
            return
        masks.append((start, end))
        for _ in range(draw(st.integers(0, 2))):
            middle = draw(st.integers(start, end))
            split(start, middle, depth - 1)
            start = middle

    split(0, draw(st.integers(1, 24)), 4)
    column = np.arange(24)
    return np.array([[(start <= column) & (column < end)] for start, end in masks])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(nested_masks())
def test_nested_masks_come_back_exactly(masks):
    assert came_back(masks)


def test_a_damaged_npz_is_refused(tmp_path, photos, masks):
    path = omniseg3d(tmp_path, masks)
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = bytes(30)
    path.write_bytes(damaged)
    with pytest.raises(SplatsegError, match=r"0001\.npz"):
        list(read_masks(tmp_path, photos))
