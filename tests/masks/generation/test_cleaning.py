"""Holes, specks and slivers go, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.masks.generation.cleaning import SLIVER_FRACTION, SPECK_OF_PHOTO, is_sliver, tidied

SHAPE = (200, 300)
LIMIT = 18  # pixels: SPECK_OF_PHOTO of that shape

repeatable = settings(derandomize=True, deadline=None, max_examples=40)


def mask_of(*patches):
    """A mask with these patches, (top, bottom, left, right), inside."""
    mask = np.zeros(SHAPE, dtype=bool)
    for top, bottom, left, right in patches:
        mask[top:bottom, left:right] = True
    return mask


def without(mask, *patches):
    return mask & ~mask_of(*patches)


def test_the_limit_is_as_assumed_here():
    assert round(SPECK_OF_PHOTO * SHAPE[0] * SHAPE[1], 9) == LIMIT


def test_holes_are_filled_and_windows_are_kept():
    whole = mask_of((50, 150, 50, 250))
    holed = without(whole, (60, 64, 60, 64), (140, 141, 200, 201))
    np.testing.assert_array_equal(tidied(holed), whole)
    window = without(whole, (80, 83, 80, 86))  # as large as the limit
    np.testing.assert_array_equal(tidied(window), window)


def test_specks_are_removed_and_parts_are_kept():
    large = mask_of((50, 150, 50, 250))
    speckled = large | mask_of((10, 14, 10, 14), (190, 191, 0, 17), (30, 31, 299, 300))
    np.testing.assert_array_equal(tidied(speckled), large)
    parts = large | mask_of((10, 13, 10, 16))
    np.testing.assert_array_equal(tidied(parts), parts)


def test_the_speck_in_a_hole_goes_with_it():
    whole = mask_of((50, 150, 50, 250))
    holed = without(whole, (60, 64, 60, 64)) | mask_of((61, 63, 61, 63))
    np.testing.assert_array_equal(tidied(holed), whole)


def test_a_small_mask_is_no_speck():
    small = mask_of((20, 23, 40, 43))
    np.testing.assert_array_equal(tidied(small), small)
    ring = without(mask_of((20, 25, 40, 45)), (22, 23, 42, 43))  # its hole is a share of it
    np.testing.assert_array_equal(tidied(ring), mask_of((20, 25, 40, 45)))


def test_bays_are_no_holes():
    bay = without(mask_of((50, 150, 50, 250)), (50, 52, 100, 103))
    np.testing.assert_array_equal(tidied(bay), bay)


@pytest.mark.parametrize(
    "notch",
    [(0, 2, 100, 105), (198, 200, 100, 105), (80, 85, 0, 2), (80, 85, 298, 300), (0, 3, 0, 3)],
)
def test_the_photos_edge_closes_a_hole(notch):
    everything = mask_of((0, 200, 0, 300))
    np.testing.assert_array_equal(tidied(without(everything, notch)), everything)


def test_the_rest_of_the_photo_is_no_hole():
    """Where a mask reaches edges of the photo, what it leaves of its own window is not enclosed."""
    corner = mask_of((0, 40, 0, 20), (0, 20, 0, 40))
    np.testing.assert_array_equal(tidied(corner), corner)
    stepped = without(mask_of((0, 100, 0, 300)), (97, 100, 0, 4), (97, 100, 296, 300))
    np.testing.assert_array_equal(tidied(stepped), stepped)


def test_dust_and_nothing_become_nothing():
    dust = np.zeros(SHAPE, dtype=bool)
    dust[::9, ::9] = True
    assert not tidied(dust).any()
    assert not tidied(mask_of()).any()


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)))
def test_the_photo_may_be_turned_and_mirrored(mask):
    once = tidied(mask)
    assert once.shape == mask.shape
    np.testing.assert_array_equal(tidied(mask.T), once.T)
    np.testing.assert_array_equal(tidied(mask[::-1, ::-1]), once[::-1, ::-1])


@pytest.mark.parametrize(
    ("patch", "is_thin"),
    [
        ((0, 2, 10, 200), True),
        ((198, 200, 0, 300), True),
        ((10, 150, 0, 2), True),
        ((10, 150, 298, 300), True),
        ((0, 3, 10, 200), False),  # 0.012 x 200 is 2.4
        ((10, 150, 297, 300), False),
        ((1, 3, 10, 200), False),  # thin, but not cut by the edge
        ((0, 1, 0, 1), True),
        ((0, 200, 0, 300), False),
    ],
)
def test_slivers_lie_along_an_edge_and_are_thin(patch, is_thin):
    assert 2 < SLIVER_FRACTION * min(SHAPE) < 3
    assert is_sliver(mask_of(patch)) == is_thin


def test_an_empty_mask_counts_as_a_sliver():
    assert is_sliver(mask_of())


@repeatable
@given(st.integers(1, 12), st.integers(1, 12))
def test_in_a_tiny_photo_nothing_is_a_sliver(height, width):
    assert not is_sliver(np.ones((height, width), dtype=bool))
