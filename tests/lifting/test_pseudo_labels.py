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


OBJECT, PLATE, LEMON = square(10, 10, 30, 30), square(5, 5, 35, 50), square(15, 15, 25, 25)
EVERYWHERE = square(0, 0, *SHAPE)


@pytest.mark.parametrize(
    ("rendered", "masks", "truth"),
    [
        (OBJECT, [square(9, 9, 31, 31)], square(9, 9, 31, 31)),
        (OBJECT, [square(11, 11, 29, 29)], square(11, 11, 29, 29)),
        (
            OBJECT,
            [square(10, 10, 30, 34), square(10, 10, 30, 31)],
            square(10, 10, 30, 31),
        ),  # better
        (OBJECT, [square(10, 10, 30, 55)], None),  # joins
        (OBJECT, [square(10, 10, 18, 30)], None),  # halves
        (EVERYWHERE, [square(0, 0, 40, 55)], EVERYWHERE),
    ],
)
def test_a_mask_that_agrees_gives_its_edge(rendered, masks, truth) -> None:
    """Label 1 in the mask and 0 outside, but for a rim that may stay unknown."""
    fused = fuse_labels(rendered.astype(np.int64), [(1, mask) for mask in masks])
    known = fused != UNKNOWN
    if truth is None:
        assert np.array_equal(fused, fuse_labels(rendered.astype(np.int64), []))
    else:
        assert (fused[known] == truth[known]).all() and (known.mean() > 0.95 or truth.all())


def test_what_a_neighbor_loses_goes_to_the_nearest_other_label() -> None:
    rendered = 1 * square(5, 5, 35, 30) + 2 * square(5, 30, 35, 50)
    fused = fuse_labels(rendered, [(1, square(5, 5, 35, 28))])
    assert (fused[10:30, 28:30] == 2).all()


def test_without_a_mask_the_edge_is_unknown_and_the_rest_is_known() -> None:
    rendered = OBJECT.astype(np.int64)
    fused = fuse_labels(rendered, [])
    sure = fused != UNKNOWN
    assert not sure[10, 10:30].any() and (fused[sure] == rendered[sure]).all()
    assert sure[10 + EDGE + 1 : 30 - EDGE - 1, 10 + EDGE + 1 : 30 - EDGE - 1].all()


def test_a_smaller_object_in_front_keeps_its_pixels() -> None:
    fused = fuse_labels(1 * PLATE + LEMON, [(1, PLATE)])  # as SAM gives it: with the lemon
    margin = EDGE + 1
    assert (fused[15 + margin : 25 - margin, 15 + margin : 25 - margin] == 2).all()
    assert not ((fused == 1) & LEMON).any()


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
    rows, columns = np.indices(SHAPE)
    band = outline_band(mask)
    for row, column in np.ndindex(SHAPE):
        near = mask[np.abs(rows - row) + np.abs(columns - column) <= EDGE + 1]
        assert band[row, column] == (near.any() and not near.all())
    assert window_around(square(0, 10, 12, 20), margin=3) == (slice(0, 15), slice(7, 23))
