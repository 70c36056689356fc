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


def levels(nesting) -> list[str]:
    return [
        next(level for level in LEVELS if nesting.at(level)[i]) for i in range(len(nesting.depth))
    ]


@repeatable
@given(rectangles)
def test_a_strict_partial_order(corners):
    contains = containment(shared(drawn(corners)))
    everyone = range(len(contains))
    assert not any(contains[a, a] for a in everyone)
    for a, b in itertools.product(everyone, repeat=2):
        assert not (contains[a, b] and contains[b, a])
    for a, b, c in itertools.product(everyone, repeat=3):
        assert contains[a, c] or not (contains[a, b] and contains[b, c])


@repeatable
@given(rectangles)
def test_contained_is_what_lies_inside_or_a_part_of_it(corners):
    masks = drawn(corners)
    contains = containment(shared(masks))
    everyone = range(len(masks))
    for a, b in itertools.product(everyone, repeat=2):
        large, small = masks[a].sum(), masks[b].sum()
        inside = (masks[a] & masks[b]).sum() >= MIN_INSIDE * small
        direct = 0 < small <= MAX_PART * large and inside
        through = any(contains[a, c] and contains[c, b] for c in everyone)
        assert contains[a, b] == (direct or through)


@repeatable
@given(rectangles, st.randoms(use_true_random=False))
def test_the_order_of_the_masks_does_not_matter(corners, random):
    order = random.sample(range(len(corners)), len(corners))
    contains = containment(shared(drawn(corners)))
    shuffled = containment(shared(drawn([corners[i] for i in order])))
    assert np.array_equal(shuffled, contains[order][:, order])


@repeatable
@given(rectangles)
def test_parent_depth_and_children_tell_of_one_tree(corners):
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


@repeatable
@given(rectangles)
def test_every_mask_has_one_level_and_levels_add_up(corners):
    nesting = nest(shared(drawn(corners)), SIDE * SIDE)
    masks_of = np.array([nesting.at(level) for level in LEVELS])
    assert (masks_of.sum(axis=0) == 1).all()
    for count, level in enumerate(LEVELS, start=1):
        assert np.array_equal(nesting.down_to(level), masks_of[:count].any(axis=0))
    assert nesting.down_to("subpart").all()


@repeatable
@given(rectangles)
def test_overlap_share_is_of_the_second(corners):
    masks = drawn(corners)
    shares = overlap_share(shared(masks))
    for a, b in itertools.product(range(len(masks)), repeat=2):
        expected = (masks[a] & masks[b]).sum() / masks[b].sum() if masks[b].any() else 0
        assert shares[a, b] == pytest.approx(expected)


def test_a_laptop_its_screen_a_key_and_a_letter():
    masks = drawn([(4, 4, 6, 6), (0, 0, 10, 10), (1, 1, 7, 7), (3, 3, 7, 7), (10, 10, 12, 12)], 20)
    nesting = nest(shared(masks), 400)
    assert nesting.parent.tolist() == [3, -1, 1, 2, -1]
    assert nesting.depth.tolist() == [3, 0, 1, 2, 0]
    assert levels(nesting) == ["subpart", "whole", "part", "subpart", "whole"]
    assert nesting.children(1).tolist() == [2]
    assert nesting.contains[:, 0].tolist() == [False, True, True, True, False]


def test_two_outlines_of_one_thing_are_of_one_level():
    masks = drawn([(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 3, 3)], 20)
    nesting = nest(shared(masks), 400)
    assert nesting.depth.tolist() == [0, 0, 1]
    assert nesting.parent.tolist() == [-1, -1, 1]  # the smaller outline


def test_of_equal_containers_the_last_is_the_parent():
    masks = drawn([(0, 0, 5, 5), (0, 0, 5, 5), (1, 1, 3, 3)])
    assert nest(shared(masks), SIDE * SIDE).parent.tolist() == [-1, -1, 1]


def test_a_part_may_stick_out_a_little():
    whole, inside, outside = (0, 0, 10, 10), (4, 2, 12, 6), (7, 2, 12, 6)
    nesting = nest(shared(drawn([whole, inside, outside], 20)), 400)
    assert MIN_INSIDE > 6 / 8  # so `inside` is none yet
    assert nesting.depth.tolist() == [0, 0, 1]  # but `outside` is part of it
    inside = (3, 2, 11, 6)
    nesting = nest(shared(drawn([whole, inside, outside], 20)), 400)
    assert nesting.depth.tolist() == [0, 1, 2]
    assert nesting.contains[0, 2]  # by way of `inside`; only 3 of its 5 rows lie in `whole`


def test_a_scene_sized_mask_is_nobodys_parent():
    scene, table, cup = (0, 0, 12, 9), (0, 0, 8, 8), (1, 1, 3, 3)
    nesting = nest(shared(drawn([scene, table, cup])), SIDE * SIDE)
    assert nesting.contains[0].tolist() == [False, True, True]
    assert nesting.parent.tolist() == [-1, -1, 1]
    assert levels(nesting) == ["whole", "whole", "part"]


def test_masks_side_by_side_and_none_at_all_are_not_nested():
    apart = nest(shared(drawn([(0, 0, 5, 5), (5, 0, 12, 5), (0, 5, 2, 7)])), SIDE * SIDE)
    assert not apart.contains.any() and not apart.depth.any()
    nothing = nest(np.zeros((0, 0), dtype=np.int64), SIDE * SIDE)
    assert nothing.contains.shape == (0, 0) and len(nothing.depth) == 0
    empty = nest(shared(drawn([(3, 3, 3, 3), (0, 0, 5, 5)])), SIDE * SIDE)
    assert levels(empty) == ["whole", "whole"] and not empty.contains.any()
