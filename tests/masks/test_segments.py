"""Segments against plain arrays of masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.errors import SplatsegError
from splatseg.masks import MAX_SEGMENTS, Segments
from splatseg.masks.segments import MAX_PAIRED

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
mask_stacks = arrays(bool, array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=7))
orders = st.sampled_from(["smallest_on_top", "largest_on_top"])


@repeatable
@given(mask_stacks)
def test_masks_and_what_each_two_share(masks):
    segments = Segments.from_masks(masks)
    assert np.array_equal(segments.masks(), masks) and len(segments) == len(masks)
    assert segments.areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    assert segments.boxes.shape == (len(masks), 4)
    assert all(np.array_equal(segments.mask(i), mask) for i, mask in enumerate(masks))
    assert np.isnan(segments.predicted_iou).all() and np.isnan(segments.stability_score).all()
    intersections, shares = segments.intersections(), segments.overlap_share()
    assert intersections.shape == shares.shape == (len(masks), len(masks))
    for a, b in np.ndindex(intersections.shape):
        common = (masks[a] & masks[b]).sum()
        assert intersections[a, b] == common
        assert shares[a, b] == (common / masks[b].sum() if masks[b].any() else 0)
    assert segments.coverage * max(1, masks[0:1].size) == pytest.approx(masks.any(axis=0).sum())


@repeatable
@given(mask_stacks, orders)
def test_label_map_is_decided_pixel_by_pixel(masks, order):
    label_map = Segments.from_masks(masks).label_map(order)
    areas = masks.sum(axis=(1, 2))
    sign = -1 if order == "smallest_on_top" else 1
    for y, x in np.ndindex(label_map.shape):
        # The top one has the extreme area; among equals, the latest.
        covering = [(sign * areas[i], i) for i in range(len(masks)) if masks[i, y, x]]
        assert label_map[y, x] == (max(covering)[1] + 1 if covering else 0)


@repeatable
@given(mask_stacks, orders)
def test_a_level_is_flattened_without_the_finer_ones(masks, order):
    segments = Segments.from_masks(masks)
    depth = segments.nesting().depth
    for deepest, level in enumerate(["whole", "part", "subpart"]):
        kept = np.flatnonzero(depth <= deepest) if level != "subpart" else np.arange(len(masks))
        alone = Segments.from_masks(masks[kept]).label_map(order)
        expected = np.array([0, *(kept + 1)])[alone]
        assert np.array_equal(segments.label_map(order, level), expected)


def test_levels_of_nested_segments():
    masks = np.zeros((4, 8, 8), dtype=bool)  # a subpart, the whole, its part, another whole
    masks[0, 2:4, 2:4] = masks[1, :5, :5] = masks[2, 1:5, 1:5] = masks[3, 6:, 6:] = True
    segments = Segments.from_masks(masks)
    assert segments.nesting().depth.tolist() == [2, 0, 1, 0]
    wholes, parts, all_levels = (segments.label_map(level=x) for x in ("whole", "part", "subpart"))
    assert np.array_equal(segments.label_map(), all_levels)
    assert all_levels[:3, :3].tolist() == [[2, 2, 2], [2, 3, 3], [2, 3, 1]]
    assert parts[:3, :3].tolist() == [[2, 2, 2], [2, 3, 3], [2, 3, 3]]
    assert np.bincount(wholes.ravel()).tolist() == [64 - 25 - 4, 0, 25, 0, 4]
    assert all_levels[7, 7] == parts[7, 7] == wholes[7, 7] == 4


def test_more_masks_than_pycocotools_counts_by_itself_are_compared():
    masks = np.zeros((300, 1, 400), dtype=bool)
    masks[np.arange(300), 0, np.arange(300)] = masks[:, 0, 399] = True
    expected = np.ones((300, 300), dtype=int) + np.eye(300, dtype=int)
    assert np.array_equal(Segments.from_masks(masks).intersections(), expected)


def test_large_masks_are_counted_to_the_pixel():
    """Pixels that a single-precision share of the area would lose."""
    masks = np.ones((2, 6000, 5000), dtype=bool)
    masks[1, 0, 0] = False
    intersections = Segments.from_masks(masks).intersections()
    assert intersections.tolist() == [[30_000_000, 29_999_999], [29_999_999, 29_999_999]]


@repeatable
@given(
    arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=0), elements=st.integers(-2, 5))
)
def test_label_map_round_trip_closes_gaps(label_map):
    segments = Segments.from_label_map(label_map)
    labels = sorted(set(label_map[label_map > 0].tolist()))
    assert len(segments) == len(labels)
    assert np.array_equal(np.array([0, *labels])[segments.label_map()], np.maximum(label_map, 0))


@repeatable
@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6)), *[st.integers(1, 13)] * 2)
def test_resized_takes_the_nearest_pixel_center(masks, height, width):
    qualities = np.linspace(0, 1, len(masks))
    segments = Segments.from_masks(masks, predicted_iou=qualities, stability_score=qualities)
    resized = segments.resized(height, width)
    for y, x in np.ndindex(height, width):
        source_y = int(np.floor((y + 0.5) * masks.shape[1] / height + 1e-9))
        source_x = int(np.floor((x + 0.5) * masks.shape[2] / width + 1e-9))
        assert np.array_equal(resized.masks()[:, y, x], masks[:, source_y, source_x])
    assert np.array_equal(resized.predicted_iou, qualities)
    assert np.array_equal(resized.stability_score, qualities)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (MAX_PAIRED, "a view has 4097 masks; expected at most 4096 to comp"),
        (MAX_SEGMENTS, "a view has 65536 masks; expected at most 65535"),
    ],
)
def test_more_segments_than_can_be_paired_or_numbered_are_refused(limit, sentence):
    rles = Segments.from_masks(np.ones((1, 1, 1), dtype=bool)).rles * (limit + 1)
    qualities = np.zeros(len(rles))
    with pytest.raises(SplatsegError, match=sentence):
        Segments(1, 1, rles, qualities, qualities).nesting()
