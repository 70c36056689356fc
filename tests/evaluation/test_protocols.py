"""Protocols on hand-made truth and answers, whose scores are known."""

import json
import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.errors import SplatsegError
from splatseg.evaluation import (
    THRESHOLDS,
    Query,
    Truth,
    boundary_iou,
    boundary_width,
    click3_queries,
    click_queries,
    iou,
    score_clicks,
    score_clusters,
    score_nvs,
)
from splatseg.evaluation.protocols import deepest_pixel

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def square(top: int, left: int, side: int, label: int = 1) -> np.ndarray:
    """A 40x60 instance map with one square object."""
    instance_map = np.zeros((40, 60), dtype=np.uint8)
    instance_map[top : top + side, left : left + side] = label
    return instance_map


def truth_of(**maps: np.ndarray) -> Truth:
    return Truth(names={1: "cup", 2: "can"}, maps=maps)


def query(object_id: int, x: float = 0.5) -> Query:
    return Query(object_id=object_id, frame="train", x=x, y=0.5)


# ---- where to click


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_deepest_pixel_against_all_distances(mask):
    if not mask.any():
        return
    framed = np.pad(mask, 1)
    outside = np.argwhere(~framed)
    depths = {
        (y, x): ((outside - (y + 1, x + 1)) ** 2).sum(axis=1).min() for y, x in np.argwhere(mask)
    }
    # max keeps the first of equals, and argwhere goes in reading order.
    assert deepest_pixel(mask) == max(depths, key=lambda pixel: depths[pixel])


def test_click_in_the_first_of_the_largest_views_in_photo_pixels():
    small, large = square(0, 0, 3), square(10, 20, 9)
    large[0, 0] = 2
    queries = click_queries(
        truth_of(a=small, b=large, c=square(0, 0, 9)), {f: (120, 80) for f in "abc"}
    )
    # The middle of the square is pixel (24, 14) of a map at half size, (48..50, 28..30) of the
    # photo; object 2 is the corner pixel.
    assert queries == [Query(1, "b", 49.0, 29.0), Query(2, "b", 1.0, 1.0)]


def test_objects_in_no_training_view_are_not_asked_for(caplog):
    with caplog.at_level(logging.WARNING):
        queries = click_queries(truth_of(a=square(0, 0, 3)), {"a": (60, 40)})
    assert [q.object_id for q in queries] == [1]
    assert "not clicked on and not scored: can" in caplog.text


def test_click_without_training_truth_proposes_click3():
    with pytest.raises(SplatsegError, match="use --protocol click3"):
        click_queries(truth_of(), {})


def prompt(object_id: int, *clicks: tuple[str, int, int]) -> dict:
    return {"id": object_id, "clicks": [{"view": v, "x": x, "y": y} for v, x, y in clicks]}


THREE = [("a", 0, 0), ("b", 59, 39), ("a", 7, 5)]
SIZES = {"a": (60, 40), "b": (60, 40)}


def test_click3_reads_pixel_centres(tmp_path):
    prompts = [prompt(1, *THREE), prompt(2, *THREE)]
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    queries = click3_queries(tmp_path, {1: "cup", 2: "can"}, SIZES)
    assert [q.object_id for q in queries] == [1, 1, 1, 2, 2, 2]
    assert queries[1] == Query(1, "b", 59.5, 39.5)


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ({}, r"has 0 clicks for object 1 \(cup\); expected 3"),
        ([prompt(1, *THREE[:2])], r"has 2 clicks for object 1 \(cup\); expected 3"),
        ([prompt(1, *THREE), prompt(2)], None),
        ([prompt(1, *THREE), prompt(2, *THREE)], r"clicks on object 2, which objects\.json"),
        ([prompt(1, *THREE[:2], ("c", 0, 0))], "clicks in c, which is not a training view"),
        ([prompt(1, *THREE[:2], ("a", 60, 0))], r"clicks at 60\.5,0\.5 in a, whose photo is 60x40"),
        ([prompt(1, *THREE[:2], ("a", 0, -1))], r"clicks at 0\.5,-0\.5 in a"),
        ([{"id": 1}], "does not list clicks"),
        ([prompt(1, *THREE[:2], ("a", "left", 0))], "does not list clicks"),
        (3, "does not list clicks"),
    ],
)
def test_click3_checks_the_prompts(tmp_path, prompts, reason):
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    if reason is None:
        assert len(click3_queries(tmp_path, {1: "cup"}, SIZES)) == 3
        return
    with pytest.raises(SplatsegError, match=rf"prompts\.json {reason}"):
        click3_queries(tmp_path, {1: "cup"}, SIZES)


def test_click3_without_prompts(tmp_path):
    with pytest.raises(SplatsegError, match=r"no .*prompts\.json; this protocol needs"):
        click3_queries(tmp_path, {1: "cup"}, SIZES)


# ---- scores of answers


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


# ---- clusters and photos


def test_clusters_are_tubes_through_all_views():
    truth = truth_of(a=square(0, 0, 10), b=square(0, 0, 10, label=2) + square(20, 20, 10))
    relabelled = np.array([0, 5, 9])
    matches = score_clusters(truth, lambda frame: relabelled[truth.maps[frame]])
    assert {i: (m.label, m.iou) for i, m in matches.items()} == {1: (5, 1.0), 2: (9, 1.0)}
    # A label that changes between the views stands for the object in one of them only.
    changing = {"a": np.array([0, 5, 0]), "b": np.array([0, 6, 9])}
    matches = score_clusters(truth, lambda frame: changing[frame][truth.maps[frame]])
    assert matches[1].iou == 0.5 and matches[2].iou == 1


def test_clusters_without_truth_are_refused():
    with pytest.raises(SplatsegError, match="nothing to score"):
        score_clusters(truth_of(), lambda _: square(0, 0, 1))


def test_nvs_clips_colours():
    pytest.importorskip("splatseg.losses.photometric")
    photo = torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(0)).round()
    [same, grey] = score_nvs([("a", 3 * photo - 1, photo), ("b", photo / 2 + 0.25, photo)])
    assert same.psnr == float("inf") and same.ssim == pytest.approx(1)
    assert grey.psnr == pytest.approx(12.0412, abs=1e-4) and grey.ssim < 1


def test_nvs_without_photos_is_refused():
    pytest.importorskip("splatseg.losses.photometric")
    with pytest.raises(SplatsegError, match="holds out no photo"):
        score_nvs([])
