"""Metrics against slow loops, closed forms and torchmetrics."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.evaluation import boundary, boundary_iou, boundary_width, hungarian_iou, iou, psnr

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
shapes = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)
mask_pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def slow_boundary(mask: np.ndarray, d_pixels: int) -> np.ndarray:
    """Repeated 3x3 erosion, pixel by pixel, of the mask framed by zeros."""
    eroded = np.pad(mask, 1)
    for _ in range(d_pixels):
        before = eroded.copy()
        for y in range(1, eroded.shape[0] - 1):
            for x in range(1, eroded.shape[1] - 1):
                eroded[y, x] = before[y - 1 : y + 2, x - 1 : x + 2].all()
    return mask & ~eroded[1:-1, 1:-1]


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    pixels_a, pixels_b = (set(zip(*np.nonzero(mask), strict=True)) for mask in (a, b))
    return len(pixels_a & pixels_b) / len(pixels_a | pixels_b) if pixels_a | pixels_b else 1.0


@repeatable
@given(mask_pairs, st.integers(1, 5))
def test_ious_against_loops(masks, d_pixels):
    a, b = masks
    assert iou(a, b) == slow_iou(a, b)
    assert np.array_equal(boundary(a, d_pixels), slow_boundary(a, d_pixels))
    expected = slow_iou(slow_boundary(a, d_pixels), slow_boundary(b, d_pixels))
    assert boundary_iou(a, b, d_pixels) == expected
    assert boundary_iou(a, b, max(1, *a.shape)) == iou(a, b)  # as wide as the image: all of it


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(480, 640, 16), (535, 953, 22), (4, 3, 1), (1, 1, 1)]
)
def test_default_boundary_width(height, width, expected):
    assert boundary_width(height, width) == expected


def test_psnr_is_torchmetrics_and_that_of_known_errors():
    image = torch.zeros(4, 5, 3)
    assert (psnr(image, image), psnr(image, image + 1)) == (math.inf, 0)
    torchmetrics = pytest.importorskip("torchmetrics.functional.image")
    a, b = torch.rand(2, 7, 9, 3, generator=torch.Generator().manual_seed(0))
    expected = torchmetrics.peak_signal_noise_ratio(a, b, data_range=1.0)
    assert psnr(a, b) == pytest.approx(expected.item(), rel=1e-5)


labels = st.integers(0, 4)
label_pairs = st.integers(0, 30).flatmap(
    lambda n: st.tuples(arrays(np.int64, n, elements=labels), arrays(np.uint8, n, elements=labels))
)


@repeatable
@given(label_pairs)
def test_hungarian_iou_is_the_best_of_all_assignments(pair):
    predicted, truth = pair
    true_labels = sorted(set(truth.tolist()) - {0})
    # Padded with labels nobody has, so that an object may stay without one.
    candidates = sorted(set(predicted.tolist()) - {0}) + [-1] * len(true_labels)
    ious = {
        (p, t): slow_iou(predicted[None] == p, truth[None] == t)
        for p in candidates
        for t in true_labels
    }
    choices = itertools.permutations(candidates, len(true_labels))
    best = max(sum(ious[pair] for pair in zip(c, true_labels, strict=True)) for c in choices)
    matches = hungarian_iou(predicted, truth)
    assert list(matches) == true_labels
    assert sum(match.iou for match in matches.values()) == pytest.approx(best)
    used = [match.label for match in matches.values() if match.label is not None]
    assert len(used) == len(set(used)) and 0 not in used
    for label, match in matches.items():
        assert match.iou == (0 if match.label is None else ious[match.label, label])
