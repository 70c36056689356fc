"""Crops cover the photo, points cover the crops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.masks.generation.windows import CROP_OVERLAP, crops, grid_rounds
from splatseg.models.logit_mapping import Window

repeatable = settings(derandomize=True, deadline=None, max_examples=40)
sides = st.integers(1, 200)


@repeatable
@given(sides, sides, st.integers(1, 5))
def test_crops_cover_the_photo(width, height, per_side):
    seen = np.zeros((height, width), dtype=int)
    windows = crops(width, height, per_side)
    for window in windows:
        assert window.width >= 1 and window.height >= 1
        assert 0 <= window.x <= width - window.width and 0 <= window.y <= height - window.height
        seen[window.y : window.y + window.height, window.x : window.x + window.width] += 1
    assert len(windows) == per_side**2
    assert seen.min() >= 1


@pytest.mark.parametrize("per_side", [2, 3, 4])
def test_neighbors_share_a_third_of_their_sides(per_side):
    first, second = crops(3000, 2000, per_side)[:2]
    shared = first.x + first.width - second.x
    assert shared == pytest.approx(CROP_OVERLAP * first.width, abs=2)
    assert (first.width / first.height) == pytest.approx(1.5, rel=0.01)


def test_one_crop_is_the_photo():
    assert crops(300, 200, 1) == [Window(0, 0, 300, 200)]


def test_inner_borders_are_those_within_the_photo():
    found = [window.inner_border(300, 200) for window in crops(300, 200, 2)]
    left, top, right, bottom = zip(*found, strict=True)
    assert left == (False, True, False, True) and right == (True, False, True, False)
    assert top == (False, False, True, True) and bottom == (True, True, False, False)
    assert not any(Window(0, 0, 300, 200).inner_border(300, 200))


@repeatable
@given(sides, sides, st.integers(1, 20))
def test_the_rounds_together_are_the_centers_of_all_cells(width, height, n):
    rounds = grid_rounds(width, height, n)
    assert all(len(points) > 0 for points in rounds)
    found = np.concatenate(rounds)
    assert found.shape == (n * n, 2)
    centers = [((i + 0.5) * width / n, (j + 0.5) * height / n) for j in range(n) for i in range(n)]
    order = np.lexsort((found[:, 0], found[:, 1]))
    np.testing.assert_allclose(found[order], np.array(centers), rtol=1e-5)


def test_each_round_spreads_over_the_whole_window():
    rounds = grid_rounds(160, 160, 16)
    assert [len(points) for points in rounds] == [64] * 4
    for points in rounds:
        assert (points.min(axis=0) < 20).all() and (points.max(axis=0) > 140).all()
        assert (np.diff(np.unique(points[:, 0])) == 20).all()
