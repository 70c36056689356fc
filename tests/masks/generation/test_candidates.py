"""Which of a segmenter's answers are good, and which of those agree."""

import numpy as np
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


def logits_of(sure=0, hardly=0, nearly=0):
    """A logit map with so many pixels well inside, hardly inside, and hardly outside."""
    logits = np.full(SHAPE[0] * SHAPE[1], -8, dtype=np.float32)
    values = [8.0] * sure + [STABILITY_OFFSET / 2] * hardly + [-STABILITY_OFFSET / 2] * nearly
    logits[: len(values)] = values
    return logits.reshape(SHAPE)


def good(maps, predicted_iou, first=0, least_iou=0.0, least_stability=0.0):
    """Of prompts' answers, of so many masks each as `predicted_iou` has columns."""
    predicted_iou = np.array(predicted_iou, dtype=np.float32)
    logits = np.stack(maps).reshape(*predicted_iou.shape, *SHAPE)
    return good_candidates(Prediction(logits, predicted_iou), first, least_iou, least_stability)


def test_the_good_ones_are_kept_with_their_prompts_number():
    maps = [logits_of(20), logits_of(30), logits_of(40), logits_of(50)]
    found = good(maps, [[0.9, 0.5], [0.6, 0.7]], 7, 0.6, 0.75)
    assert len(found) == 3 and found.prompt.tolist() == [7, 8, 8]
    assert found.masks.sum(axis=(1, 2)).tolist() == [20, 40, 50]
    np.testing.assert_array_equal(found.predicted_iou, np.float32([0.9, 0.6, 0.7]))
    none = good(maps[:1], [[0.2]], 3, 0.6, 0.75)
    assert len(none) == 0 and none.logits.shape == (0, *SHAPE)


def test_stability_is_the_share_of_the_outer_mask_that_the_inner_one_has():
    maps = [logits_of(30, 5, 5), logits_of(40), logits_of(30, 0, 10)]
    found = good(maps[:2], [[1], [1]])
    np.testing.assert_allclose(found.stability, [30 / 40, 1])
    np.testing.assert_allclose(found.score, found.predicted_iou * found.stability)
    assert len(good(maps, [[1], [1], [1]], least_stability=0.75)) == 3
    assert len(good(maps, [[1], [1], [1]], least_stability=0.76)) == 1


def test_the_smallest_are_dropped_even_if_nothing_else_is():
    maps = [logits_of(MIN_LOGIT_PIXELS - 1), logits_of(MIN_LOGIT_PIXELS), logits_of()]
    assert good(maps, [[1], [1], [1]]).prompt.tolist() == [1]


def test_candidates_are_joined_in_order_and_chosen_by_rows():
    some = good([logits_of(20), logits_of(30)], [[0.9], [0.8]])
    more = good([logits_of(40)], [[1]], 2)
    found = concatenated([no_candidates(SHAPE), some, more])
    assert found.prompt.tolist() == [0, 1, 2]
    assert found[np.array([2, 0])].masks.sum(axis=(1, 2)).tolist() == [40, 20]
    assert found[np.array([False, True, False])].prompt.tolist() == [1]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 12), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), st.integers(0, 10**6))
def test_the_best_of_those_that_agree_are_those_of_the_obvious_loop(n, max_iou, seed):
    """Empty masks agree with nothing; of equals the first is the best."""
    random = np.random.default_rng(seed)
    masks = random.random((n, 5, 7)) < random.uniform(0.2, 0.9)
    masks[random.random(n) < 0.2] = random.random() < 0.5
    score = random.integers(0, 4, n) / 4
    kept: list[int] = []
    for index in sorted(range(n), key=lambda i: (-score[i], i)):
        agree = (((masks[index] & masks[i]).sum(), (masks[index] | masks[i]).sum()) for i in kept)
        if all(shared / max(1, either) <= max_iou for shared, either in agree):
            kept.append(index)
    assert without_duplicates(masks, score, max_iou).tolist() == kept


def test_large_areas_are_counted_exactly():
    """Sums of float32 are exact up to 2^24 pixels, which no mask here comes near."""
    masks = np.ones((2, 64, 4096), dtype=bool)
    masks[1, 0, 0] = False
    assert without_duplicates(masks, np.array([0.5, 0.4]), 1 - 1e-9).tolist() == [0, 1]
