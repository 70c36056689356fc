import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.lifting.pseudo_labels import (
    EDGE,
    UNKNOWN,
    fuse_labels,
    label_edges,
    outline_band,
    replace_with_nearest,
    window_around,
)

SHAPE = (40, 60)


def square(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def labels_of(*masks: np.ndarray) -> np.ndarray:
    label_map = np.zeros(SHAPE, dtype=np.int64)
    for number, mask in enumerate(masks, start=1):
        label_map[mask] = number
    return label_map


def assert_labels(fused: np.ndarray, mask: np.ndarray) -> None:
    """Label 1 in the mask and 0 outside, but for a rim that may stay unknown."""
    known = fused != UNKNOWN
    assert (fused[known] == mask[known]).all()
    assert known.mean() > 0.95


def test_a_mask_that_agrees_gives_its_edge_outwards() -> None:
    mask = square(9, 9, 31, 31)
    fused = fuse_labels(labels_of(square(10, 10, 30, 30)), [(1, mask)])
    assert_labels(fused, mask)


def test_a_mask_that_agrees_gives_its_edge_inwards() -> None:
    mask = square(11, 11, 29, 29)
    fused = fuse_labels(labels_of(square(10, 10, 30, 30)), [(1, mask)])
    assert_labels(fused, mask)


def test_what_a_neighbor_loses_goes_to_the_nearest_other_label() -> None:
    rendered = labels_of(square(5, 5, 35, 30), square(5, 30, 35, 50))
    fused = fuse_labels(rendered, [(1, square(5, 5, 35, 28))])
    assert (fused[10:30, 28:30] == 2).all()


@pytest.mark.parametrize("mask", [square(10, 10, 30, 55), square(10, 10, 18, 30)])
def test_a_mask_that_joins_or_halves_is_left_out(mask: np.ndarray) -> None:
    rendered = labels_of(square(10, 10, 30, 30))
    assert (fuse_labels(rendered, [(1, mask)]) == fuse_labels(rendered, [])).all()


def test_without_a_mask_the_edge_is_unknown_and_the_rest_is_known() -> None:
    rendered = labels_of(square(10, 10, 30, 30))
    fused = fuse_labels(rendered, [])
    assert (fused == UNKNOWN)[10, 10:30].all()
    sure = fused != UNKNOWN
    assert (fused[sure] == rendered[sure]).all()
    assert sure[10 + EDGE + 1 : 30 - EDGE - 1, 10 + EDGE + 1 : 30 - EDGE - 1].all()


def test_a_smaller_object_in_front_keeps_its_pixels() -> None:
    plate, lemon = square(5, 5, 35, 50), square(15, 15, 25, 25)
    rendered = labels_of(plate, lemon)
    fused = fuse_labels(rendered, [(1, plate)])  # as SAM gives it: the lemon is in the plate's mask
    inner = square(15 + EDGE + 1, 15 + EDGE + 1, 25 - EDGE - 1, 25 - EDGE - 1)
    assert (fused[inner] == 2).all()
    assert not ((fused == 1) & lemon).any()


def test_of_two_masks_the_better_one_counts() -> None:
    better = square(10, 10, 30, 31)
    fused = fuse_labels(
        labels_of(square(10, 10, 30, 30)), [(1, square(10, 10, 30, 34)), (1, better)]
    )
    assert_labels(fused, better)


def test_an_object_that_fills_the_view_stays() -> None:
    rendered = np.ones(SHAPE, dtype=np.int64)
    fused = fuse_labels(rendered, [(1, square(0, 0, 40, 55))])
    assert (fused[fused != UNKNOWN] == 1).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**16))
def test_edges_and_nearest_labels_against_loops(rows: int, columns: int, seed: int) -> None:
    label_map = np.random.default_rng(seed).integers(0, 3, (rows, columns))
    found = label_edges(label_map)
    for row in range(rows):
        for column in range(columns):
            near = label_map[max(row - 1, 0) : row + 2, column].tolist()
            near += label_map[row, max(column - 1, 0) : column + 2].tolist()
            assert found[row, column] == (set(near) != {label_map[row, column]})
    others = np.argwhere(label_map != 1)
    if len(others) and (label_map == 1).any():
        filled = replace_with_nearest(label_map, 1)
        for row, column in np.argwhere(label_map == 1):
            squared = ((others - (row, column)) ** 2).sum(axis=1)
            nearest = others[squared == squared.min()]
            assert filled[row, column] in label_map[nearest[:, 0], nearest[:, 1]]


def test_the_band_of_an_outline_is_within_reach_of_both_sides() -> None:
    mask = square(15, 15, 25, 40)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    band = outline_band(mask)
    for row, column in zip(rows.ravel(), columns.ravel(), strict=True):
        steps = np.abs(rows - row) + np.abs(columns - column)
        near = steps <= EDGE + 1
        assert band[row, column] == (mask[near].any() and not mask[near].all())


def test_a_window_holds_the_mask_and_its_margin() -> None:
    rows, columns = window_around(square(0, 10, 12, 20), margin=3)
    assert (rows, columns) == (slice(0, 15), slice(7, 23))
