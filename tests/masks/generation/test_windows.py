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
def test_crops_cover_the_photo_and_know_the_borders_within_it(width, height, per_side):
    seen = np.zeros((height, width), dtype=int)
    windows = crops(width, height, per_side)
    for index, window in enumerate(windows):
        assert window.width >= 1 and window.height >= 1
        assert 0 <= window.x <= width - window.width and 0 <= window.y <= height - window.height
        seen[window.y : window.y + window.height, window.x : window.x + window.width] += 1
        edges = (window.x, window.y, window.x + window.width, window.y + window.height)
        inner = tuple(a != b for a, b in zip(edges, (0, 0, width, height), strict=True))
        assert window.inner_border(width, height) == inner
        assert index or per_side > 1 or window == Window(0, 0, width, height)
    assert len(windows) == per_side**2 and seen.min() >= 1


@pytest.mark.parametrize("per_side", [2, 3, 4])
def test_neighbors_share_a_third_of_their_sides(per_side):
    first, second = crops(3000, 2000, per_side)[:2]
    shared = first.x + first.width - second.x
    assert shared == pytest.approx(CROP_OVERLAP * first.width, abs=2)
    assert (first.width / first.height) == pytest.approx(1.5, rel=0.01)


@repeatable
@given(sides, sides, st.integers(1, 20))
def test_the_rounds_together_are_the_centers_of_all_cells(width, height, n):
    rounds = grid_rounds(width, height, n)
    assert all(len(points) > 0 for points in rounds)
    found = np.concatenate(rounds)
    centers = [((i + 0.5) * width / n, (j + 0.5) * height / n) for j in range(n) for i in range(n)]
    order = np.lexsort((found[:, 0], found[:, 1]))
    np.testing.assert_allclose(found[order], np.array(centers), rtol=1e-5)


def test_each_round_spreads_over_the_whole_window():
    rounds = grid_rounds(160, 160, 16)
    assert [len(points) for points in rounds] == [64] * 4
    for points in rounds:
        assert (points.min(axis=0) < 20).all() and (points.max(axis=0) > 140).all()
        assert (np.diff(np.unique(points[:, 0])) == 20).all()
