"""Masks from clicks on hand-made truth and answers, whose scores are known."""

from dataclasses import astuple

import numpy as np
import pytest
from builders.truth import square, truth_of

from splatseg.errors import SplatsegError
from splatseg.evaluation import (
    THRESHOLDS,
    Click,
    MaskScores,
    Truth,
    boundary_iou,
    boundary_width,
    iou,
    score_clicks,
    worst_cases,
)
from splatseg.segmentation import THRESHOLD

TRUTH = truth_of(a=square(5, 5, 20) + square(30, 40, 9, label=2), b=square(10, 30, 25))


def click(object_id: int, x: float = 0.5) -> Click:
    return Click(object_id=object_id, frame="train", x=x, y=0.5)


def slow_scores(mask: np.ndarray, truth: np.ndarray) -> list[float]:
    widths = [boundary_width(40, 60), 2]
    return [iou(mask, truth), *(boundary_iou(mask, truth, width) for width in widths)]


@pytest.mark.parametrize("seed", range(5))
def test_scores_against_loops_over_objects_clicks_and_views(seed):
    rng, clicks = np.random.default_rng(seed), [click(2), click(1), click(1, 1.5)]
    margins = {
        (f, c): 0.4 * (m == c.object_id) + rng.normal(-0.4, rng.uniform(0.1, 0.3), m.shape)
        for f, m in TRUTH.maps.items()
        for c in clicks
    }
    found = score_clicks(clicks, TRUTH, lambda frame, asked: [margins[frame, c] for c in asked])
    assert [(s.object_id, s.name, s.views) for s in found] == [(1, "cup", 2), (2, "can", 1)]
    for score, views in zip(found, ("ab", "a"), strict=True):
        asked = [c for c in clicks if c.object_id == score.object_id]
        masks = {f: TRUTH.maps[f] == score.object_id for f in views}

        def at(threshold: float, asked=asked, masks=masks) -> np.ndarray:
            """Scores by click and view."""
            shift = threshold - THRESHOLD
            return np.array(
                [[slow_scores(margins[f, c] >= shift, m) for f, m in masks.items()] for c in asked]
            )

        curve = [at(threshold)[..., 0].mean() for threshold in THRESHOLDS]
        assert score.best_threshold == THRESHOLDS[np.argmax(curve)]
        plain, best = at(THRESHOLD), at(score.best_threshold)
        assert [c.click for c in score.clicks] == asked
        assert [astuple(c.scores) for c in score.clicks] == pytest.approx(plain.mean(axis=1))
        assert astuple(score.scores) == pytest.approx(plain.mean(axis=(0, 1)))
        assert astuple(score.best) == pytest.approx(best.mean(axis=(0, 1)))
        assert score.worst.miou == pytest.approx(plain[..., 0].mean(axis=1).min())
        case = score.worst_case
        assert case.iou == plain[..., 0].min() == iou(case.predicted, case.truth)
        assert np.array_equal(case.predicted, margins[case.frame, case.click] >= 0)
        assert np.array_equal(case.truth, masks[case.frame]) and case.name == score.name


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (square(5, 5, 20) == 1, 1.0),
        (np.where(square(7, 5, 20) == 1, np.float32(0), np.float32(-0.001)), 18 / 22),
        (np.zeros((40, 60), bool), 0.0),
        (np.full((40, 60), np.nan), 0.0),
        (None, 0.0),
    ],
)
def test_scores_of_masks_margins_and_no_answer(answer, expected):
    [score] = score_clicks([click(1)], truth_of(a=square(5, 5, 20)), lambda *_: [answer])
    assert score.scores == score.best and score.scores.miou == expected
    if expected in (0, 1):
        assert score.scores == MaskScores(expected, expected, expected)


def test_views_that_show_fewer_than_50_pixels_are_not_asked_for():
    truth = truth_of(a=square(0, 0, 7), b=square(0, 0, 8), c=square(0, 0, 0))
    asked = []
    objects = score_clicks(
        [click(1), click(2)], truth, lambda *call: asked.append(call) or [None for _ in call[1]]
    )
    assert asked == [("b", [click(1)])]
    assert [(o.object_id, o.views) for o in objects] == [(1, 1)]


def test_an_answer_of_another_size_is_a_bug():
    with pytest.raises(ValueError, match="the prediction is"):
        score_clicks([click(1)], TRUTH, lambda *_: [np.zeros((4, 6))])


@pytest.mark.parametrize("maps", [{}, {"a": square(0, 0, 5)}])
def test_nothing_to_score_is_refused(maps):
    with pytest.raises(SplatsegError, match="no test view has ground truth"):
        score_clicks([click(1)], truth_of(**maps), lambda *_: [])


def test_the_worst_cases_are_of_different_objects_worst_first():
    """Object k is found in its first k rows of 10."""
    instance_map = np.repeat(np.arange(1, 9, dtype=np.uint8), 10)[None].repeat(10, axis=0)
    truth = Truth({label: f"object {label}" for label in range(1, 9)}, {"a": instance_map})
    rows = np.arange(10)[:, None]
    found = score_clicks(
        [click(label) for label in range(8, 0, -1)],
        truth,
        lambda _, asked: [truth.mask("a", c.object_id) & (rows < c.object_id) for c in asked],
    )
    expected = [(f"object {k}", k / 10) for k in range(1, 7)]
    assert [(case.name, case.iou) for case in worst_cases(found)] == expected
