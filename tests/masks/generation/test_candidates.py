"""Which of a segmenter's answers are good, and which of those agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.masks.generation.candidates import (
    MIN_LOGIT_PIXELS,
    STABILITY_OFFSET,
    concatenated,
    good_candidates,
    no_candidates,
    without_duplicates,
)
from splatseg.models.segmenter import Prediction

SHAPE = (8, 10)

repeatable = settings(derandomize=True, deadline=None, max_examples=40)


def logits_of(sure=0, hardly=0, nearly=0):
    """A logit map with so many pixels well inside, hardly inside, and hardly outside."""
    logits = np.full(SHAPE[0] * SHAPE[1], -8, dtype=np.float32)
    values = [8.0] * sure + [STABILITY_OFFSET / 2] * hardly + [-STABILITY_OFFSET / 2] * nearly
    logits[: len(values)] = values
    return logits.reshape(SHAPE)


def prediction(maps, predicted_iou):
    """Answers to prompts, of so many masks each as `predicted_iou` has columns."""
    predicted_iou = np.array(predicted_iou, dtype=np.float32)
    return Prediction(np.stack(maps).reshape(*predicted_iou.shape, *SHAPE), predicted_iou)


def test_the_good_ones_are_kept_with_their_prompts_number():
    maps = [logits_of(20), logits_of(30), logits_of(40), logits_of(50)]
    found = good_candidates(prediction(maps, [[0.9, 0.5], [0.6, 0.7]]), 7, 0.6, 0.75)
    assert len(found) == 3
    assert found.prompt.tolist() == [7, 8, 8]
    assert found.masks.sum(axis=(1, 2)).tolist() == [20, 40, 50]
    np.testing.assert_array_equal(found.predicted_iou, np.float32([0.9, 0.6, 0.7]))


def test_stability_is_the_share_of_the_outer_mask_that_the_inner_one_has():
    maps = [logits_of(30, 5, 5), logits_of(40), logits_of(30, 0, 10)]
    found = good_candidates(prediction([maps[0], maps[1]], [[1], [1]]), 0, 0.0, 0.0)
    np.testing.assert_allclose(found.stability, [30 / 40, 1])
    np.testing.assert_allclose(found.score, found.predicted_iou * found.stability)
    assert len(good_candidates(prediction(maps, [[1], [1], [1]]), 0, 0.0, 0.75)) == 3
    assert len(good_candidates(prediction(maps, [[1], [1], [1]]), 0, 0.0, 0.76)) == 1


def test_the_smallest_are_dropped_even_if_nothing_else_is():
    maps = [logits_of(MIN_LOGIT_PIXELS - 1), logits_of(MIN_LOGIT_PIXELS), logits_of()]
    found = good_candidates(prediction(maps, [[1], [1], [1]]), 0, 0.0, 0.0)
    assert found.prompt.tolist() == [1]


def test_none_at_all_is_none_of_every_kind():
    found = good_candidates(prediction([logits_of(20)], [[0.2]]), 3, 0.6, 0.75)
    assert len(found) == 0 and found.logits.shape == (0, *SHAPE)
    assert len(no_candidates(SHAPE)) == 0 and no_candidates(SHAPE).masks.shape == (0, *SHAPE)


def test_candidates_are_joined_in_order_and_chosen_by_rows():
    parts = [
        no_candidates(SHAPE),
        good_candidates(prediction([logits_of(20), logits_of(30)], [[0.9], [0.8]]), 0, 0.0, 0.0),
        good_candidates(prediction([logits_of(40)], [[0.7]]), 2, 0.0, 0.0),
    ]
    found = concatenated(parts)
    assert found.prompt.tolist() == [0, 1, 2]
    assert found[np.array([2, 0])].masks.sum(axis=(1, 2)).tolist() == [40, 20]
    assert found[np.array([False, True, False])].prompt.tolist() == [1]


def test_the_best_of_those_that_agree():
    masks = np.zeros((4, 4, 10), dtype=bool)
    masks[0, :, :8], masks[1, :, :9], masks[2, :, 9:], masks[3, :, :4] = True, True, True, True
    score = np.array([0.7, 0.9, 0.5, 0.8])
    assert without_duplicates(masks, score, 0.8).tolist() == [1, 3, 2]
    assert without_duplicates(masks, score, 0.9).tolist() == [1, 3, 0, 2]
    assert without_duplicates(masks, score, 1.0).tolist() == [1, 3, 0, 2]
    assert without_duplicates(masks[:0], score[:0], 0.8).tolist() == []


def test_of_equals_the_first():
    masks = np.ones((3, 2, 2), dtype=bool)
    assert without_duplicates(masks, np.array([0.5, 0.5, 0.5]), 0.8).tolist() == [0]


def test_empty_masks_agree_with_nothing():
    masks = np.zeros((2, 3, 3), dtype=bool)
    assert without_duplicates(masks, np.array([0.1, 0.2]), 0.5).tolist() == [1, 0]


@repeatable
@given(st.integers(0, 12), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), st.integers(0, 10**6))
def test_suppression_is_the_obvious_loop(n, max_iou, seed):
    random = np.random.default_rng(seed)
    masks = random.random((n, 5, 7)) < random.uniform(0.2, 0.9)
    score = random.integers(0, 4, n) / 4  # with ties
    kept: list[int] = []
    for index in sorted(range(n), key=lambda i: (-score[i], i)):
        if all(_iou(masks[index], masks[other]) <= max_iou for other in kept):
            kept.append(index)
    assert without_duplicates(masks, score, max_iou).tolist() == kept


def _iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.mark.parametrize("rows", [1, 64])
def test_large_areas_are_counted_exactly(rows):
    """Sums of float32 are exact up to 2^24 pixels, which no mask here comes near."""
    masks = np.ones((2, rows, 4096), dtype=bool)
    masks[1, 0, 0] = False
    assert without_duplicates(masks, np.array([0.5, 0.4]), 1 - 1e-9).tolist() == [0, 1]
