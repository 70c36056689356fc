"""Masks from clicks on hand-made truth and answers, whose scores are known."""

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


def click(object_id: int, x: float = 0.5) -> Click:
    return Click(object_id=object_id, frame="train", x=x, y=0.5)


def test_the_truth_itself_scores_one_in_any_order():
    truth = truth_of(a=square(5, 5, 20) + square(30, 40, 9, label=2), b=square(1, 1, 30))
    for clicks in ([click(1), click(2)], [click(2), click(1)]):
        objects = score_clicks(
            clicks, truth, lambda frame, asked: [truth.maps[frame] == c.object_id for c in asked]
        )
        assert [(o.object_id, o.name, o.views) for o in objects] == [(1, "cup", 2), (2, "can", 1)]
        for score in objects:
            assert score.scores == score.best == score.worst == MaskScores(1.0, 1.0, 1.0)


def test_scores_are_those_of_the_mask_at_the_threshold():
    truth, answer = truth_of(a=square(5, 5, 20)), square(7, 5, 20) == 1
    margin = np.where(answer, np.float32(0), np.float32(-0.001))
    [score] = score_clicks([click(1)], truth, lambda *_: [margin])
    mask = truth.maps["a"] == 1
    assert score.scores.miou == iou(answer, mask) == 18 / 22
    assert score.scores.mbiou == boundary_iou(answer, mask, boundary_width(40, 60))
    assert score.scores.biou2 == boundary_iou(answer, mask, 2)
    assert score.best == score.scores and score.best_threshold == THRESHOLD


def test_the_best_threshold_is_found_for_each_object():
    rng = np.random.default_rng(0)
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 25))
    maps = {f: 0.4 * (m == 1) + rng.normal(-0.4, 0.2, m.shape) for f, m in truth.maps.items()}
    [score] = score_clicks([click(1)], truth, lambda frame, _: [maps[frame]])

    def mean_iou(threshold: float) -> float:
        masks = {f: maps[f] >= threshold - THRESHOLD for f in maps}
        return float(np.mean([iou(mask, truth.maps[f] == 1) for f, mask in masks.items()]))

    curve = [mean_iou(threshold) for threshold in THRESHOLDS]
    assert score.best_threshold == THRESHOLDS[int(np.argmax(curve))] != THRESHOLD
    assert score.best.miou == pytest.approx(max(curve))
    assert score.scores.miou == pytest.approx(mean_iou(THRESHOLD))


def test_means_go_over_views_then_clicks():
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 20))

    def answer(frame, clicks):
        """The first click finds both views, the second only view a, the third none."""
        found = [True, frame == "a", False]
        mask = np.where(truth.maps[frame] == 1, 0.3, -1.0)
        return [mask if found[int(c.x)] else np.full(mask.shape, -1.0) for c in clicks]

    [score] = score_clicks([click(1, x + 0.5) for x in range(3)], truth, answer)
    assert [one.scores.miou for one in score.clicks] == [1, 0.5, 0]
    assert score.scores == MaskScores(0.5, 0.5, 0.5)
    assert score.worst.miou == 0


@pytest.mark.parametrize("answer", [None, np.full((40, 60), np.nan), np.zeros((40, 60), bool)])
def test_no_answer_scores_zero(answer):
    [score] = score_clicks([click(1)], truth_of(a=square(5, 5, 20)), lambda *_: [answer])
    assert score.scores == score.best == MaskScores(0.0, 0.0, 0.0)


def test_views_that_show_fewer_than_50_pixels_are_not_asked_for():
    truth = truth_of(a=square(0, 0, 7), b=square(0, 0, 8), c=square(0, 0, 0))
    asked = []

    def answer(frame, clicks):
        asked.append((frame, [c.object_id for c in clicks]))
        return [None for _ in clicks]

    objects = score_clicks([click(1), click(2)], truth, answer)
    assert asked == [("b", [1])]
    assert [(o.object_id, o.views) for o in objects] == [(1, 1)]


def test_an_answer_of_another_size_is_a_bug():
    with pytest.raises(ValueError, match="the prediction is"):
        score_clicks([click(1)], truth_of(a=square(5, 5, 20)), lambda *_: [np.zeros((4, 6))])


@pytest.mark.parametrize("maps", [{}, {"a": square(0, 0, 5)}])
def test_nothing_to_score_is_refused(maps):
    with pytest.raises(SplatsegError, match="no test view has ground truth"):
        score_clicks([click(1)], truth_of(**maps), lambda *_: [])


def test_the_worst_case_is_the_worst_of_all_clicks_and_views():
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 20))
    half = truth.maps["b"] == 1
    half[:, :40] = False

    def answer(frame, clicks):
        """The second click finds half of the object in view b, the rest is perfect."""
        return [half if frame == "b" and c.x > 1 else truth.maps[frame] == 1 for c in clicks]

    [score] = score_clicks([click(1), click(1, 1.5)], truth, answer)
    case = score.worst_case
    assert (case.click, case.name, case.frame, case.iou) == (click(1, 1.5), "cup", "b", 0.5)
    assert np.array_equal(case.predicted, half)
    assert np.array_equal(case.truth, truth.maps["b"] == 1)


def test_the_worst_cases_are_of_different_objects_worst_first():
    labels = range(1, 9)
    instance_map = np.repeat(np.array(labels, np.uint8), 10)[None].repeat(10, axis=0)
    truth = Truth({label: f"object {label}" for label in labels}, {"a": instance_map})

    def answer(_, clicks):
        """Object k is found in its first k rows."""
        rows = np.arange(10)[:, None]
        return [(instance_map == c.object_id) & (rows < c.object_id) for c in clicks]

    cases = worst_cases(score_clicks([click(label) for label in reversed(labels)], truth, answer))
    assert [case.iou for case in cases] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert [case.name for case in cases] == [f"object {label}" for label in range(1, 7)]
