"""Masks from clicks on hand-made truth and answers, whose scores are known."""

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.evaluation import (
    THRESHOLDS,
    Query,
    Truth,
    boundary_iou,
    boundary_width,
    iou,
    score_clicks,
    worst_cases,
)


def square(top: int, left: int, side: int, label: int = 1) -> np.ndarray:
    """A 40x60 instance map with one square object."""
    instance_map = np.zeros((40, 60), dtype=np.uint8)
    instance_map[top : top + side, left : left + side] = label
    return instance_map


def truth_of(**maps: np.ndarray) -> Truth:
    return Truth(names={1: "cup", 2: "can"}, maps=maps)


def query(object_id: int, x: float = 0.5) -> Query:
    return Query(object_id=object_id, frame="train", x=x, y=0.5)


def test_the_truth_itself_scores_one():
    truth = truth_of(a=square(5, 5, 20) + square(30, 40, 9, label=2), b=square(1, 1, 30))
    objects = score_clicks(
        [query(1), query(2)],
        truth,
        lambda frame, queries: [truth.maps[frame] == q.object_id for q in queries],
    )
    assert [(o.object_id, o.name, o.views) for o in objects] == [(1, "cup", 2), (2, "can", 1)]
    for score in objects:
        assert score.scores == score.best == score.worst
        assert (score.scores.miou, score.scores.mbiou, score.scores.biou2) == (1, 1, 1)


def test_scores_are_those_of_the_mask_at_the_threshold():
    truth = truth_of(a=square(5, 5, 20))
    answer = square(7, 5, 20) == 1
    similarity = np.where(answer, np.float32(0.7), np.float32(0.699))
    [score] = score_clicks([query(1)], truth, lambda *_: [similarity])
    mask = truth.maps["a"] == 1
    assert score.scores.miou == iou(answer, mask) == 18 / 22
    assert score.scores.mbiou == boundary_iou(answer, mask, boundary_width(40, 60))
    assert score.scores.biou2 == boundary_iou(answer, mask, 2)
    assert score.best == score.scores and score.best_threshold == 0.7


def test_the_best_threshold_is_found_for_each_object():
    rng = np.random.default_rng(0)
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 25))
    maps = {f: 0.4 * (m == 1) + rng.normal(0.3, 0.2, m.shape) for f, m in truth.maps.items()}
    [score] = score_clicks([query(1)], truth, lambda frame, _: [maps[frame]])

    def mean_iou(threshold: float) -> float:
        return float(np.mean([iou(maps[f] >= threshold, truth.maps[f] == 1) for f in "ab"]))

    curve = [mean_iou(threshold) for threshold in THRESHOLDS]
    assert score.best_threshold == THRESHOLDS[int(np.argmax(curve))] != 0.7
    assert score.best.miou == pytest.approx(max(curve))
    assert score.scores.miou == pytest.approx(mean_iou(0.7))


def test_means_go_over_views_then_clicks():
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 20))
    nothing = np.full((40, 60), -1.0)

    def answer(frame, queries):
        """The first click finds both views, the second only view a, the third none."""
        found = [True, frame == "a", False]
        mask = np.where(truth.maps[frame] == 1, 1.0, -1.0)
        return [mask if found[int(q.x)] else nothing for q in queries]

    [score] = score_clicks([query(1, x + 0.5) for x in range(3)], truth, answer)
    assert [click.scores.miou for click in score.clicks] == [1, 0.5, 0]
    assert score.scores.miou == score.scores.mbiou == score.scores.biou2 == 0.5
    assert score.worst.miou == 0


def test_no_answer_and_nan_score_zero():
    truth = truth_of(a=square(5, 5, 20))
    for answer in (None, np.full((40, 60), np.nan), np.zeros((40, 60), dtype=bool)):
        [score] = score_clicks([query(1)], truth, lambda *_, answer=answer: [answer])
        assert score.scores.miou == score.scores.mbiou == score.scores.biou2 == score.best.miou == 0


def test_views_that_show_fewer_than_50_pixels_are_not_asked_for():
    seven_by_seven, eight_by_eight = square(0, 0, 7), square(0, 0, 8)
    truth = truth_of(a=seven_by_seven, b=eight_by_eight, c=np.zeros_like(seven_by_seven))
    asked = []

    def answer(frame, queries):
        asked.append((frame, [q.object_id for q in queries]))
        return [None for _ in queries]

    objects = score_clicks([query(1), query(2)], truth, answer)
    assert asked == [("b", [1])]
    assert [(o.object_id, o.views) for o in objects] == [(1, 1)]


def test_queries_may_be_asked_in_any_order():
    rng = np.random.default_rng(0)
    truth = truth_of(a=square(5, 5, 20) + square(30, 40, 9, label=2))
    noise = {object_id: rng.random((40, 60)) for object_id in (1, 2)}
    queries = [query(1), query(2), query(1, 3.5)]

    def answer(_, queries):
        return (noise[q.object_id] for q in queries)

    forward, backward = (score_clicks(q, truth, answer) for q in (queries, queries[::-1]))
    assert [o.scores for o in forward] == [o.scores for o in backward]


def test_an_answer_of_another_size_is_a_bug():
    with pytest.raises(ValueError, match="the prediction is"):
        score_clicks([query(1)], truth_of(a=square(5, 5, 20)), lambda *_: [np.zeros((4, 6))])


@pytest.mark.parametrize("maps", [{}, {"a": square(0, 0, 5)}])
def test_nothing_to_score_is_refused(maps):
    with pytest.raises(SplatsegError, match="no test view has ground truth"):
        score_clicks([query(1)], truth_of(**maps), lambda *_: [])


# ---- the worst cases


def test_the_worst_case_is_the_worst_of_all_clicks_and_views():
    truth = truth_of(a=square(5, 5, 20), b=square(10, 30, 20))
    half = truth.maps["b"] == 1
    half[:, :40] = False

    def answer(frame, queries):
        """The second click finds half of the object in view b, the rest is perfect."""
        return [half if frame == "b" and q.x > 1 else truth.maps[frame] == 1 for q in queries]

    [score] = score_clicks([query(1), query(1, 1.5)], truth, answer)
    case = score.worst_case
    assert (case.query, case.name, case.frame, case.iou) == (query(1, 1.5), "cup", "b", 0.5)
    assert np.array_equal(case.predicted, half)
    assert np.array_equal(case.truth, truth.maps["b"] == 1)


def test_the_worst_cases_are_of_different_objects_worst_first():
    labels = range(1, 9)
    instance_map = np.zeros((10, 80), dtype=np.uint8)
    for label in labels:
        instance_map[:, 10 * label - 10 : 10 * label] = label
    truth = Truth({label: f"object {label}" for label in labels}, {"a": instance_map})

    def answer(_, queries):
        """Object k is found in its first k rows."""
        rows = np.arange(10)[:, None]
        return [(instance_map == q.object_id) & (rows < q.object_id) for q in queries]

    cases = worst_cases(score_clicks([query(label) for label in reversed(labels)], truth, answer))
    assert [case.iou for case in cases] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert [case.name for case in cases] == [f"object {label}" for label in range(1, 7)]
