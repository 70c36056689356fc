"""Polygons against a slow test of each pixel's center, and against what breaks pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.masks import rle

repeatable = settings(derandomize=True, deadline=None, max_examples=80)

HEIGHT, WIDTH = 7, 9
corners = st.tuples(st.integers(0, WIDTH), st.integers(0, HEIGHT))


def slow_box(a, b):
    """The pixels between two corners."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            inside_x = min(a[0], b[0]) < x + 0.5 < max(a[0], b[0])
            mask[y, x] = inside_x and min(a[1], b[1]) < y + 0.5 < max(a[1], b[1])
    return mask


def box(a, b):
    return [a[0], a[1], b[0], a[1], b[0], b[1], a[0], b[1]]


@repeatable
@given(st.lists(st.tuples(corners, corners), min_size=1, max_size=4))
def test_boxes_are_united(boxes):
    code = rle.from_polygons([box(a, b) for a, b in boxes], HEIGHT, WIDTH)
    expected = np.any([slow_box(a, b) for a, b in boxes], axis=0)
    assert np.array_equal(rle.decode(code, HEIGHT, WIDTH), expected)
    assert code == rle.encode(expected)


@repeatable
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.lists(st.floats(-1, 2), min_size=6, max_size=14).filter(
        lambda numbers: len(numbers) % 2 == 0
    ),
)
def test_any_polygon_near_the_image_gives_a_canonical_mask(height, width, numbers):
    polygon = [number * (height if k % 2 else width) for k, number in enumerate(numbers)]
    code = rle.from_polygons([polygon], height, width)
    assert rle.encode(rle.decode(code, height, width)) == code


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (2**16, 2**16)])
def test_sizes_that_no_image_has_are_refused(size):
    with pytest.raises(ValueError, match="its image is"):
        rle.from_polygons([[0, 0, 1, 0, 1, 1]], *size)
