"""Run lengths against a slow loop over pixels, and against what breaks pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.masks import rle

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))


def slow_runs(mask: np.ndarray) -> list[int]:
    """Column by column, runs of 0s and 1s in turn, 0s first."""
    runs, value = [0], False
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if mask[y, x] != value:
                runs.append(0)
                value = not value
            runs[-1] += 1
    return runs


@repeatable
@given(any_mask)
def test_round_trip_and_run_lengths(mask):
    code = rle.encode(mask)
    assert np.array_equal(rle.decode(code, *mask.shape), mask)
    assert rle.run_lengths(code.decode()).tolist() == slow_runs(mask)


def test_long_runs_and_negative_differences():
    mask = np.zeros((300, 350), dtype=bool)
    mask[0, 0] = mask[299, 299:] = mask[3:7, 349] = True
    code = rle.encode(mask)
    assert rle.run_lengths(code.decode()).tolist() == slow_runs(mask)


@repeatable
@given(any_mask)
def test_areas_and_boxes(mask):
    code = rle.encode(mask)
    rows, columns = np.nonzero(mask)
    box = [0, 0, 0, 0]
    if rows.size:
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert rle.areas([code, code]).tolist() == [mask.sum()] * 2
    assert rle.boxes([code], *mask.shape).tolist() == [box]


def test_more_masks_than_a_byte_counts():
    code = rle.encode(np.eye(3, 4, dtype=bool))
    assert rle.areas([code] * 256).tolist() == [3] * 256
    assert rle.boxes([code] * 256, 3, 4).tolist() == [[0, 0, 3, 3]] * 256


def test_no_masks():
    assert rle.areas([]).shape == (0,)
    assert rle.boxes([], 4, 5).shape == (0, 4)


@repeatable
@given(any_mask, st.data())
def test_canonical_accepts_lists_and_removes_empty_runs(mask, data):
    code = rle.encode(mask)
    runs = slow_runs(mask)
    assert rle.canonical(code.decode(), *mask.shape) == code
    assert rle.canonical(runs, *mask.shape) == code
    cut = data.draw(st.integers(0, len(runs) - 1))
    first = data.draw(st.integers(0, runs[cut]))
    assert (
        rle.canonical([*runs[:cut], first, 0, runs[cut] - first, *runs[cut + 1 :]], *mask.shape)
        == code
    )


def test_canonical_removes_empty_runs_from_compressed_counts():
    assert rle.run_lengths("106020").tolist() == [1, 0, 6, 0, 8, 0]
    assert rle.canonical("10303", 2, 5) == rle.canonical([10], 2, 5)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("", "do not add up to 5x4 pixels"),
        ("0", "do not add up"),
        ("51", "do not add up"),
        ([5, 30], "do not add up"),
        ([25, -5], "do not add up"),
        ([2**62, 2**62, 2**62, 2**62, 20], "do not add up"),
        ("51>zz", "not a compressed run-length code"),
        ("51\x00", "not a compressed run-length code"),
        ("5\u00ff", "not a compressed run-length code"),
        ("51n", "not a compressed run-length code"),
        ("o" * 9 + "0", "too large for an image"),
    ],
)
def test_runs_of_no_mask_are_refused(counts, reason):
    with pytest.raises(ValueError, match=reason):
        rle.canonical(counts, 4, 5)


@repeatable
@given(st.text(st.characters(max_codepoint=300), max_size=12), st.integers(1, 5), st.integers(1, 5))
def test_any_text_is_refused_or_a_mask(counts, height, width):
    try:
        code = rle.canonical(counts, height, width)
    except ValueError:
        return
    assert rle.encode(rle.decode(code, height, width)) == code
