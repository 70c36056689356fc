"""Run lengths and polygons against slow loops over pixels, and against what breaks pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.masks import rle

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
any_mask = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))
HEIGHT, WIDTH = 7, 9
corners = st.tuples(st.integers(0, WIDTH), st.integers(0, HEIGHT))


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
@given(any_mask, st.data())
def test_run_lengths_areas_and_boxes(mask, data):
    code, runs = rle.encode(mask), slow_runs(mask)
    assert np.array_equal(rle.decode(code, *mask.shape), mask)
    assert rle.run_lengths(code.decode()).tolist() == runs
    rows, columns = np.nonzero(mask)
    box = [0, 0, 0, 0]
    if rows.size:
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    for count in (0, 1, 2, 256):  # a byte counts less
        assert rle.areas([code] * count).tolist() == [mask.sum()] * count
        assert rle.boxes([code] * count, *mask.shape).tolist() == [box] * count
    cut = data.draw(st.integers(0, len(runs) - 1))
    first = data.draw(st.integers(0, runs[cut]))
    with_empty = [*runs[:cut], first, 0, runs[cut] - first, *runs[cut + 1 :]]
    for counts in (code.decode(), runs, with_empty):
        assert rle.canonical(counts, *mask.shape) == code


def test_long_runs_and_negative_differences():
    mask = np.zeros((300, 350), dtype=bool)
    mask[0, 0] = mask[299, 299:] = mask[3:7, 349] = True
    assert rle.run_lengths(rle.encode(mask).decode()).tolist() == slow_runs(mask)


def test_canonical_removes_empty_runs_from_compressed_counts():
    assert rle.run_lengths("106020").tolist() == [1, 0, 6, 0, 8, 0]
    assert rle.canonical("10303", 2, 5) == rle.canonical([10], 2, 5)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        *((counts, "do not add up to 5x4 pixels") for counts in ("", "0", "51", [5, 30], [25, -5])),
        ([2**62, 2**62, 2**62, 2**62, 20], "do not add up"),
        *((code, "not a compressed run-length code") for code in ("51>zz", "51\x00", "5ÿ", "51n")),
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


@repeatable
@given(st.lists(st.tuples(corners, corners), min_size=1, max_size=4))
def test_boxes_are_united_where_they_hold_a_pixels_center(boxes):
    polygons = [[x0, y0, x1, y0, x1, y1, x0, y1] for (x0, y0), (x1, y1) in boxes]
    y, x = np.indices((HEIGHT, WIDTH)) + 0.5
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for (x0, y0), (x1, y1) in boxes:
        expected |= (min(x0, x1) < x) & (x < max(x0, x1)) & (min(y0, y1) < y) & (y < max(y0, y1))
    assert rle.from_polygons(polygons, HEIGHT, WIDTH) == rle.encode(expected)


@repeatable
@given(*[st.integers(1, 30)] * 2, st.lists(st.tuples(*[st.floats(-1, 2)] * 2), min_size=3))
def test_any_polygon_near_the_image_gives_a_canonical_mask(height, width, corners):
    polygon = [number for x, y in corners for number in (x * width, y * height)]
    code = rle.from_polygons([polygon], height, width)
    assert rle.encode(rle.decode(code, height, width)) == code


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (2**16, 2**16)])
def test_sizes_that_no_image_has_are_refused(size):
    with pytest.raises(ValueError, match="its image is"):
        rle.from_polygons([[0, 0, 1, 0, 1, 1]], *size)
