"""Holes, specks and slivers go, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.masks.generation.cleaning import SLIVER_FRACTION, SPECK_OF_PHOTO, is_sliver, tidied

SHAPE = (200, 300)
LIMIT = 18  # pixels: SPECK_OF_PHOTO of that shape
LARGE = (50, 150, 50, 250)
FULL = (0, 200, 0, 300)
CORNER = ((0, 40, 0, 20), (0, 20, 0, 40))

repeatable = settings(derandomize=True, deadline=None, max_examples=40)


def mask_of(*patches):
    """A mask with these patches, (top, bottom, left, right), inside."""
    mask = np.zeros(SHAPE, dtype=bool)
    for top, bottom, left, right in patches:
        mask[top:bottom, left:right] = True
    return mask


def test_the_limit_is_as_assumed_here():
    assert round(SPECK_OF_PHOTO * SHAPE[0] * SHAPE[1], 9) == LIMIT
    assert 2 < SLIVER_FRACTION * min(SHAPE) < 3


@pytest.mark.parametrize(
    ("patches", "holes", "specks"),
    [
        ([LARGE], [(60, 64, 60, 64), (140, 141, 200, 201)], []),
        ([LARGE], [], [(10, 14, 10, 14), (190, 191, 0, 17), (30, 31, 299, 300)]),
        ([LARGE], [(60, 64, 60, 64)], [(61, 63, 61, 63)]),  # the speck in a hole goes with it
        ([LARGE, (10, 13, 10, 16)], [], []),  # a part as large as the limit
        ([(20, 23, 40, 43)], [], []),  # a small mask is no speck
        ([(20, 25, 40, 45)], [(22, 23, 42, 43)], []),  # and its hole is a share of it
        *(([FULL], [notch], []) for notch in [(0, 2, 100, 105), (198, 200, 100, 105)]),
        *(([FULL], [notch], []) for notch in [(80, 85, 0, 2), (80, 85, 298, 300), (0, 3, 0, 3)]),
        # Where a mask reaches edges of the photo, what it leaves of its window is not enclosed.
        (CORNER, [], []),
        ([], [], []),
        ([], [], [(9 * i, 9 * i + 1, 9 * j, 9 * j + 1) for i in range(22) for j in range(33)]),
    ],
)
def test_holes_are_filled_and_specks_removed(patches, holes, specks):
    spoilt = mask_of(*patches) & ~mask_of(*holes) | mask_of(*specks)
    np.testing.assert_array_equal(tidied(spoilt), mask_of(*patches))


@pytest.mark.parametrize(
    ("patch", "kept"),
    [
        (LARGE, [(80, 83, 80, 86)]),  # a window as large as the limit
        (LARGE, [(50, 52, 100, 103)]),  # a bay
        ((0, 100, 0, 300), [(97, 100, 0, 4), (97, 100, 296, 300)]),
    ],
)
def test_windows_and_bays_are_kept(patch, kept):
    mask = mask_of(patch) & ~mask_of(*kept)
    np.testing.assert_array_equal(tidied(mask), mask)


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)))
def test_the_photo_may_be_turned_and_mirrored(mask):
    once = tidied(mask)
    assert once.shape == mask.shape
    np.testing.assert_array_equal(tidied(mask.T), once.T)
    np.testing.assert_array_equal(tidied(mask[::-1, ::-1]), once[::-1, ::-1])
    assert min(mask.shape) > 12 or not is_sliver(np.ones_like(mask))  # the photo is tiny


THIN = [(0, 2, 10, 200), (198, 200, 0, 300), (10, 150, 0, 2), (10, 150, 298, 300), (0, 1, 0, 1)]
# 0.012 x 200 is 2.4; the third is thin but not cut by the edge.
THICK = [(0, 3, 10, 200), (10, 150, 297, 300), (1, 3, 10, 200), FULL]


def test_slivers_lie_along_an_edge_and_are_thin():
    """An empty mask counts as one."""
    assert all(is_sliver(mask_of(patch)) for patch in [*THIN, (0, 0, 0, 0)])
    assert not any(is_sliver(mask_of(patch)) for patch in THICK)
