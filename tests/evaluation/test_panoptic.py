"""Label maps of all objects, on hand-made truth, whose scores are known by arithmetic."""

import numpy as np
import pytest
from builders.truth import square, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splatseg.errors import SplatsegError
from splatseg.evaluation import Match, PanopticScore, Truth, score_clusters, score_objects

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def test_clusters_are_tubes_through_all_views():
    truth = truth_of(a=square(0, 0, 10), b=square(0, 0, 10, label=2) + square(20, 20, 10))
    relabeled = np.array([0, 5, 9])
    matches = score_clusters(truth, {f: relabeled[m] for f, m in truth.maps.items()})
    assert {i: (m.label, m.iou) for i, m in matches.items()} == {1: (5, 1.0), 2: (9, 1.0)}
    # A label that changes between the views stands for the object in one of them only.
    changing = {"a": np.array([0, 5, 0]), "b": np.array([0, 6, 9])}
    matches = score_clusters(truth, {f: changing[f][m] for f, m in truth.maps.items()})
    assert matches[1].iou == 0.5 and matches[2].iou == 1


# ---- panoptic quality


def runs(*pairs: tuple[int, int]) -> np.ndarray:
    """A map of one row from (label, pixels) after (label, pixels)."""
    return np.concatenate([np.full(count, label, np.uint8) for label, count in pairs])[None]


def scored(
    true: np.ndarray, predicted: np.ndarray, void: np.ndarray | None = None
) -> PanopticScore:
    """One test view; nothing is void by default."""
    names = {i: f"object {i}" for i in range(1, 10)}
    void = np.zeros(true.shape, dtype=bool) if void is None else void
    truth = Truth(names, {"a": true.astype(np.uint8)})
    return score_objects(truth, {"a": void}, {"a": predicted})


def test_the_truth_itself_scores_one():
    true = runs((0, 5), (1, 10), (2, 20))
    score = scored(true, 7 * true)
    assert (score.pq, score.sq, score.rq) == (1, 1, 1)
    assert (score.tp, score.fp, score.fn, score.ignored) == (2, 0, 0, 0)
    assert (score.over_segmented, score.under_segmented) == (0, 0)
    assert [(t.name, t.match, t.matched, t.parts) for t in score.objects] == [
        ("object 1", Match(7, 1.0), True, 1),
        ("object 2", Match(14, 1.0), True, 1),
    ]


def test_no_label_at_all_scores_zero():
    true = runs((0, 5), (1, 10), (2, 20))
    score = scored(true, np.zeros_like(true))
    assert (score.pq, score.sq, score.rq) == (0, 0, 0)
    assert (score.tp, score.fp, score.fn) == (0, 0, 2)
    assert all(t.match == Match(None, 0.0) and t.parts == 0 for t in score.objects)


def test_panoptic_quality_by_hand():
    true = runs((1, 10), (2, 10), (0, 32))
    void = runs((0, 40), (1, 12)) > 0
    known = runs((5, 8), (0, 2), (6, 10), (6, 6), (7, 4), (8, 4), (9, 2), (0, 4))
    predicted = np.concatenate([known, runs((8, 6), (9, 2), (0, 4))], axis=1)
    score = scored(true, predicted, void)
    # 5 has an IoU of 8/10 with object 1, 6 of 10/16 with object 2. 7 lies on nothing, 9 half on
    # void: false positives. 8 lies mostly on void.
    assert (score.tp, score.fp, score.fn, score.ignored) == (2, 2, 0, 1)
    assert score.sq == pytest.approx((0.8 + 0.625) / 2)
    assert score.rq == pytest.approx(2 / 3)
    assert score.pq == pytest.approx(0.7125 * 2 / 3)


@pytest.mark.parametrize(
    ("true", "predicted", "is_void", "counts", "pq"),
    [
        # Clusters of walls and tables are no mistakes; without void, they are false positives.
        (((1, 10), (0, 30)), ((3, 10), (4, 15), (5, 15)), True, (1, 0, 0, 2, 0), 1),
        (((1, 10), (0, 30)), ((3, 10), (4, 15), (5, 15)), False, (1, 2, 0, 0, 0), 0.5),
        # A label that runs onto void pays for it, and an IoU of 0.5 is no match.
        (((1, 10), (0, 10)), ((3, 20),), True, (0, 1, 1, 0, 0), 0),
        # Two objects in one label, of one size and of two.
        (((1, 10), (2, 10), (3, 5)), ((4, 20), (6, 5)), False, (1, 1, 2, 0, 1), 1 / 2.5),
        (((1, 30), (2, 10)), ((4, 40),), False, (1, 0, 1, 0, 1), 0.75 / 1.5),
    ],
)
def test_kinds_of_mistakes(true, predicted, is_void, counts, pq):
    true = runs(*true)
    score = scored(true, runs(*predicted), (true == 0) & is_void)
    assert (score.tp, score.fp, score.fn, score.ignored, score.under_segmented) == counts
    assert score.over_segmented == 0
    assert score.pq == pytest.approx(pq)


@pytest.mark.parametrize(
    ("predicted", "parts"),
    [
        (((4, 60), (5, 40)), 2),
        (((4, 60), (5, 30), (6, 9), (0, 1)), 2),  # 6 is a splinter
        (((4, 60), (5, 30), (6, 10)), 3),
        (((4, 100),), 1),
        (((0, 100),), 0),
    ],
)
def test_parts_of_an_object(predicted, parts):
    score = scored(runs((1, 100)), runs(*predicted))
    assert score.objects[0].parts == parts
    assert score.over_segmented == (parts >= 2)


def test_a_part_lies_mostly_in_its_object():
    true = runs((1, 100), (2, 70))
    # 5 lies half in each, 6 is a tenth of object 2.
    score = scored(true, runs((4, 70), (5, 30), (5, 30), (6, 7), (7, 33)))
    assert [t.parts for t in score.objects] == [1, 2]


def test_a_match_is_by_iou_and_not_by_the_assignment():
    """The largest sum of IoUs gives object 1 the smaller of its two labels."""
    true = runs((1, 149), (2, 49))
    score = scored(true, runs((5, 49), (4, 149)))
    assert [t.match.label for t in score.objects] == [5, 4]
    assert [t.matched for t in score.objects] == [True, False]
    assert score.sq == pytest.approx(100 / 198)
    assert (score.tp, score.fp, score.fn) == (1, 1, 1)


def test_a_label_that_changes_between_views_fits_neither():
    truth = Truth({1: "cup"}, {"a": runs((1, 10)), "b": runs((1, 10))})
    void = {f: np.zeros((1, 10), dtype=bool) for f in "ab"}
    maps = {"a": runs((3, 10)), "b": runs((4, 10))}
    score = score_objects(truth, void, maps)
    assert (score.tp, score.fp, score.fn, score.over_segmented) == (0, 2, 1, 1)


def slow_counts(true: np.ndarray, predicted: np.ndarray, void: np.ndarray) -> dict[str, int]:
    """tp, fp, fn, ignored, over- and under-segmented, from sets of pixels."""
    pixels = {i: set(np.flatnonzero(true == i)) for i in set(true.ravel().tolist()) - {0}}
    labels = {i: set(np.flatnonzero(predicted == i)) for i in set(predicted.ravel().tolist()) - {0}}
    nothing = set(np.flatnonzero(void))
    pairs = [
        (i, k) for i, a in pixels.items() for k, b in labels.items() if 2 * len(a & b) > len(a | b)
    ]
    ignored = [k for k, b in labels.items() if 2 * len(b & nothing) > len(b)]
    matched = {k for _, k in pairs}
    return {
        "tp": len(pairs),
        "fn": len(pixels) - len(pairs),
        "fp": len([k for k in labels if k not in matched and k not in ignored]),
        "ignored": len(ignored),
        "over_segmented": sum(
            sum(2 * len(a & b) > len(b) and 10 * len(a & b) >= len(a) for b in labels.values()) > 1
            for a in pixels.values()
        ),
        "under_segmented": sum(
            sum(2 * len(a & b) >= len(a) for a in pixels.values()) > 1 for b in labels.values()
        ),
    }


def map_of(highest: int):
    return arrays(np.int64, (1, 24), elements=st.integers(0, highest))


@repeatable
@given(map_of(3).filter(np.any), map_of(4), map_of(1), st.permutations(range(1, 5)))
def test_counts_against_sets_and_under_other_names(true, predicted, void, names):
    void = (void > 0) & (true == 0)
    score = scored(true, predicted, void)
    counts = slow_counts(true, predicted, void)
    assert {name: getattr(score, name) for name in counts} == counts
    renamed = scored(true, np.array([0, *names])[predicted], void)
    assert {name: getattr(renamed, name) for name in counts} == counts
    assert renamed.pq == pytest.approx(score.pq)
    mious = [sum(t.match.iou for t in s.objects) for s in (score, renamed)]
    assert mious[0] == pytest.approx(mious[1])
    assert [(t.matched, t.parts) for t in renamed.objects] == [
        (t.matched, t.parts) for t in score.objects
    ]


@pytest.mark.parametrize("maps", [{}, {"a": runs((0, 9))}])
def test_nothing_to_score_is_refused(maps):
    void = {f: m == 0 for f, m in maps.items()}
    with pytest.raises(SplatsegError, match="nothing to score"):
        score_objects(Truth({1: "cup"}, maps), void, maps)
