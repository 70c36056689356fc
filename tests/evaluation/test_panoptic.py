"""Label maps of all objects, on hand-made truth, whose scores are known by arithmetic."""

import numpy as np
import pytest
from builders.truth import square, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splatseg.errors import SplatsegError
from splatseg.evaluation import Match, PanopticScore, Truth, score_clusters, score_objects

NAMES = {i: f"object {i}" for i in range(1, 10)}


def test_clusters_are_tubes_through_all_views():
    truth = truth_of(a=square(0, 0, 10), b=square(0, 0, 10, label=2) + square(20, 20, 10))
    relabeled = np.array([0, 5, 9])
    matches = score_clusters(truth, {f: relabeled[m] for f, m in truth.maps.items()})
    assert {i: (m.label, m.iou) for i, m in matches.items()} == {1: (5, 1.0), 2: (9, 1.0)}
    # A label that changes between the views stands for the object in one of them only.
    changing = {"a": np.array([0, 5, 0]), "b": np.array([0, 6, 9])}
    matches = score_clusters(truth, {f: changing[f][m] for f, m in truth.maps.items()})
    assert matches[1].iou == 0.5 and matches[2].iou == 1


def runs(*pairs: tuple[int, int]) -> np.ndarray:
    """A map of one row from (label, pixels) after (label, pixels)."""
    return np.concatenate([np.full(count, label, np.uint8) for label, count in pairs])[None]


def scored(true: np.ndarray, predicted: np.ndarray, void: np.ndarray) -> PanopticScore:
    """One test view."""
    return score_objects(Truth(NAMES, {"a": true.astype(np.uint8)}), {"a": void}, {"a": predicted})


@pytest.mark.parametrize(
    ("true", "predicted", "void", "counts", "parts", "sq"),
    [
        (((0, 5), (1, 10), (2, 20)), ((0, 5), (7, 10), (14, 20)), 0, (2, 0, 0, 0, 0), [1, 1], 1),
        (((0, 5), (1, 10), (2, 20)), ((0, 35),), 0, (0, 0, 2, 0, 0), [0, 0], 0),
        # Clusters of walls and tables are no mistakes; without void, they are false positives.
        (((1, 10), (0, 30)), ((3, 10), (4, 15), (5, 15)), 30, (1, 0, 0, 2, 0), [1], 1),
        (((1, 10), (0, 30)), ((3, 10), (4, 15), (5, 15)), 0, (1, 2, 0, 0, 0), [1], 1),
        # Half on void is not mostly on void.
        (((1, 10), (0, 30)), ((3, 10), (4, 30)), 15, (1, 1, 0, 0, 0), [1], 1),
        # A label that runs onto void pays for it, and an IoU of 0.5 is no match.
        (((1, 10), (0, 10)), ((3, 20),), 10, (0, 1, 1, 0, 0), [0], 0),
        # Two objects in one label, of one size and of two.
        (((1, 10), (2, 10), (3, 5)), ((4, 20), (6, 5)), 0, (1, 1, 2, 0, 1), [0, 0, 1], 1),
        (((1, 30), (2, 10)), ((4, 40),), 0, (1, 0, 1, 0, 1), [1, 0], 0.75),
        # Parts; 6 is a splinter in the second.
        (((1, 100),), ((4, 60), (5, 40)), 0, (1, 1, 0, 0, 0), [2], 0.6),
        (((1, 100),), ((4, 60), (5, 30), (6, 9), (0, 1)), 0, (1, 2, 0, 0, 0), [2], 0.6),
        (((1, 100),), ((4, 50), (5, 40), (6, 10)), 0, (0, 3, 1, 0, 0), [3], 0),
        # 5 lies half in each, 6 is a tenth of object 2.
        (
            *(((1, 100), (2, 70)), ((4, 70), (5, 30), (5, 30), (6, 7), (7, 33)), 0),
            *((1, 3, 1, 0, 0), [1, 2], 0.7),
        ),
    ],
)
def test_kinds_of_mistakes(true, predicted, void, counts, parts, sq):
    """The last `void` pixels are void."""
    is_void = np.arange(runs(*true).size)[None] >= runs(*true).size - void
    s = scored(runs(*true), runs(*predicted), is_void)
    assert (s.tp, s.fp, s.fn, s.ignored, s.under_segmented) == counts
    assert [t.parts for t in s.objects] == parts
    assert s.over_segmented == sum(count >= 2 for count in parts)
    tp, fp, fn = counts[:3]
    assert s.sq == pytest.approx(sq) and s.rq == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert s.pq == pytest.approx(s.sq * s.rq)


def test_a_match_is_by_iou_and_not_by_the_assignment():
    """The largest sum of IoUs gives object 1 the smaller of its two labels."""
    true = runs((1, 149), (2, 49))
    score = scored(true, runs((5, 49), (4, 149)), true == 0)
    assert [(t.name, t.match.label, t.matched) for t in score.objects] == [
        ("object 1", 5, True),
        ("object 2", 4, False),
    ]
    assert score.sq == pytest.approx(100 / 198)
    assert (score.tp, score.fp, score.fn) == (1, 1, 1)


def test_objects_are_tubes_through_all_views():
    """A label that changes between the views fits neither."""
    truth = Truth({1: "cup"}, {"a": runs((1, 10)), "b": runs((1, 10))})
    void = {f: np.zeros((1, 10), dtype=bool) for f in "ab"}
    score = score_objects(truth, void, {"a": runs((3, 10)), "b": runs((4, 10))})
    assert (score.tp, score.fp, score.fn, score.over_segmented) == (0, 2, 1, 1)


def slow_counts(true: np.ndarray, predicted: np.ndarray, void: np.ndarray) -> dict[str, int]:
    """tp, fp, fn, ignored, over- and under-segmented, from sets of pixels."""
    pixels, labels = (
        [set(np.flatnonzero(m == i)) for i in sorted(set(m.ravel().tolist()) - {0})]
        for m in (true, predicted)
    )
    nothing = set(np.flatnonzero(void))
    pairs = [(i, b) for i, a in enumerate(pixels) for b in labels if 2 * len(a & b) > len(a | b)]
    ignored = [b for b in labels if 2 * len(b & nothing) > len(b)]
    parts = [
        sum(2 * len(a & b) > len(b) and 10 * len(a & b) >= len(a) for b in labels) for a in pixels
    ]
    halves = [sum(2 * len(a & b) >= len(a) for a in pixels) for b in labels]
    return {
        "tp": len(pairs),
        "fn": len(pixels) - len(pairs),
        "fp": sum(b not in ignored and all(b != matched for _, matched in pairs) for b in labels),
        "ignored": len(ignored),
        "over_segmented": sum(count > 1 for count in parts),
        "under_segmented": sum(count > 1 for count in halves),
    }


def map_of(highest: int):
    return arrays(np.int64, (1, 24), elements=st.integers(0, highest))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(map_of(3).filter(np.any), map_of(4), map_of(1), st.permutations(range(1, 5)))
def test_counts_against_sets_and_under_other_names(true, predicted, void, names):
    void = (void > 0) & (true == 0)
    score, renamed = (scored(true, m, void) for m in (predicted, np.array([0, *names])[predicted]))
    for s in (score, renamed):
        counts = slow_counts(true, predicted, void)
        assert {name: getattr(s, name) for name in counts} == counts
    assert renamed.pq == pytest.approx(score.pq)
    mious = [sum(t.match.iou for t in s.objects) for s in (score, renamed)]
    assert mious[0] == pytest.approx(mious[1])
    facts = [[(t.object_id, t.matched, t.parts) for t in s.objects] for s in (score, renamed)]
    assert facts[0] == facts[1]
    assert all(t.match.label or t.match == Match(None, 0.0) for t in score.objects)


@pytest.mark.parametrize("maps", [{}, {"a": runs((0, 9))}])
def test_nothing_to_score_is_refused(maps):
    void = {f: m == 0 for f, m in maps.items()}
    with pytest.raises(SplatsegError, match="nothing to score"):
        score_objects(Truth({1: "cup"}, maps), void, maps)
