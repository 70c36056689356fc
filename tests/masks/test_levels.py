"""Nesting against slow loops and the laws of an order, on rectangles drawn at random."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.masks.levels import (
    LEVELS,
    MAX_PART,
    MIN_INSIDE,
    SCENE_FRACTION,
    containment,
    nest,
    overlap_share,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=150)
SIDE = 12
rectangles = st.lists(st.tuples(*[st.integers(0, SIDE)] * 4), max_size=9)


def drawn(corners: list[tuple[int, int, int, int]], side: int = SIDE) -> np.ndarray:
    """Masks from y0, x0, y1, x1; empty where a corner is not below and right of the other."""
    masks = np.zeros((len(corners), side, side), dtype=bool)
    for mask, (y0, x0, y1, x1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def shared(masks: np.ndarray) -> np.ndarray:
    """Intersections, one pair after the other."""
    n = len(masks)
    return np.array([[(a & b).sum() for b in masks] for a in masks], dtype=np.int64).reshape(n, n)


@repeatable
@given(rectangles, st.randoms(use_true_random=False))
def test_containment_is_a_strict_partial_order_in_any_order_of_the_masks(corners, random):
    masks = drawn(corners)
    contains, shares = containment(shared(masks)), overlap_share(shared(masks))
    everyone = range(len(masks))
    for a, b in itertools.product(everyone, repeat=2):
        large, small, common = masks[a].sum(), masks[b].sum(), (masks[a] & masks[b]).sum()
        assert shares[a, b] == pytest.approx(common / small if small else 0)
        direct = 0 < small <= MAX_PART * large and common >= MIN_INSIDE * small
        through = any(contains[a, c] and contains[c, b] for c in everyone)
        assert contains[a, b] == (direct or through)  # so it is transitive, too
        assert not (contains[a, b] and contains[b, a])
    order = random.sample(everyone, len(masks))
    shuffled = containment(shared(masks[order]))
    assert np.array_equal(shuffled, contains[order][:, order])


@repeatable
@given(rectangles)
def test_parent_depth_children_and_levels_tell_of_one_tree(corners):
    masks = drawn(corners)
    areas = masks.sum(axis=(1, 2))
    nesting = nest(shared(masks), SIDE * SIDE)
    for b, parent in enumerate(nesting.parent.tolist()):
        usable = nesting.contains[:, b] & (areas <= SCENE_FRACTION * SIDE * SIDE)
        assert (parent >= 0) == usable.any()
        if parent >= 0:
            assert usable[parent] and areas[parent] == areas[usable].min()
            assert nesting.depth[b] == nesting.depth[parent] + 1
            assert b in nesting.children(parent)
        else:
            assert nesting.depth[b] == 0
    assert sum(len(nesting.children(a)) for a in range(len(masks))) == (nesting.parent >= 0).sum()
    for depth, level in enumerate(LEVELS):
        assert np.array_equal(nesting.at(level), np.minimum(nesting.depth, 2) == depth)
        assert np.array_equal(nesting.down_to(level), np.minimum(nesting.depth, 2) <= depth)


@pytest.mark.parametrize(
    ("corners", "parent", "depth"),
    [
        (  # a letter, its laptop, its screen and its key, and something else
            [(4, 4, 6, 6), (0, 0, 10, 10), (1, 1, 7, 7), (3, 3, 7, 7), (10, 10, 12, 12)],
            [3, -1, 1, 2, -1],
            [3, 0, 1, 2, 0],
        ),
        # Two outlines of one thing are of one level, and the smaller one is the parent.
        ([(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 3, 3)], [-1, -1, 1], [0, 0, 1]),
        # Of equal containers the last is the parent.
        ([(0, 0, 5, 5), (0, 0, 5, 5), (1, 1, 3, 3)], [-1, -1, 1], [0, 0, 1]),
        # A part may stick out a little: of the second 6 of 8 rows lie in the first.
        ([(0, 0, 10, 10), (4, 2, 12, 6), (7, 2, 12, 6)], [-1, -1, 1], [0, 0, 1]),
        ([(0, 0, 10, 10), (3, 2, 11, 6), (7, 2, 12, 6)], [-1, 0, 1], [0, 1, 2]),
        # What is as large as the scene is nobody's parent.
        ([(0, 0, 20, 15), (0, 0, 8, 8), (1, 1, 3, 3)], [-1, -1, 1], [0, 0, 1]),
        ([(0, 0, 5, 5), (5, 0, 12, 5), (0, 5, 2, 7), (3, 3, 3, 3)], [-1] * 4, [0] * 4),
        ([], [], []),
    ],
)
def test_nesting_of_a_few_masks(corners, parent, depth):
    nesting = nest(shared(drawn(corners, 20)), 400)
    assert nesting.parent.tolist() == parent and nesting.depth.tolist() == depth


def test_a_part_of_a_part_is_contained_although_it_sticks_out():
    """Only 3 of its 5 rows lie in the whole."""
    masks = drawn([(0, 0, 10, 10), (3, 2, 11, 6), (7, 2, 12, 6)], 20)
    assert nest(shared(masks), 400).contains[0].tolist() == [False, True, True]
