from collections.abc import Sequence

import numpy as np
import pytest
from builders.associations import association_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from splatseg.lifting.tracks import MIN_SEEN, find_tracks, known_ious, link, sum_groups


def groups(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def symmetric(count: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 1, (count, count)).astype(np.float32)
    return np.triu(values, 1) + np.triu(values, 1).T


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**16))
def test_where_all_pairs_are_known_it_is_average_linkage(count: int, seed: int) -> None:
    iou = symmetric(count, seed)
    tree = linkage(squareform(1 - iou.astype(float), checks=False), "average")
    expected = fcluster(tree, 0.5, "distance")

    assert groups(link(iou, np.ones_like(iou, dtype=bool))) == groups(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**16))
def test_groups_do_not_depend_on_the_order_of_masks(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    iou = symmetric(count, seed)
    known = symmetric(count, seed + 1) > 0.4
    order = random.permutation(count)

    labels = link(iou, known)
    permuted = link(iou[order][:, order], known[order][:, order])

    assert groups(labels) == {frozenset(order[list(g)].tolist()) for g in groups(permuted)}


def test_front_and_back_are_joined_through_the_side() -> None:
    iou = np.array([[0, 0.9, 0], [0.9, 0, 0.8], [0, 0.8, 0]], dtype=np.float32)
    known = np.ones((3, 3), dtype=bool)
    known[0, 2] = known[2, 0] = False

    assert len(groups(link(iou, known))) == 1
    assert len(groups(link(iou, np.ones((3, 3), dtype=bool)))) == 2  # known to be unlike


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_link(count: int) -> None:
    empty = np.zeros((count, count), dtype=np.float32)
    assert link(empty, empty > 0).tolist() == [0] * count


def test_sums_of_groups_against_a_loop() -> None:
    matrix, group = symmetric(7, 3), np.array([0, 1, 0, 2, 2, 1, 0])
    expected = np.zeros((3, 3))
    for row in range(7):
        for column in range(7):
            expected[group[row], group[column]] += matrix[row, column]
    np.testing.assert_allclose(sum_groups(matrix, group), expected, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_ious_count_what_both_views_see(seed: int) -> None:
    random = np.random.default_rng(seed)
    visible = random.random((40, 3)) < 0.7
    view = [0, 0, 1, 2, 2]
    inside = (random.random((40, 5)) < 0.4) & visible[:, view]
    weight = random.uniform(0.1, 2, 40).astype(np.float32)

    iou, known = known_ious(association_of(inside, visible, view, weight))

    for a in range(5):
        for b in range(5):
            seen_a = weight[inside[:, a] & visible[:, view[b]]].sum()
            seen_b = weight[inside[:, b] & visible[:, view[a]]].sum()
            shared = weight[inside[:, a] & inside[:, b]].sum()
            sizes = weight[inside[:, a]].sum(), weight[inside[:, b]].sum()
            assert known[a, b] == (seen_a > MIN_SEEN * sizes[0] and seen_b > MIN_SEEN * sizes[1])
            if known[a, b]:
                assert iou[a, b] == pytest.approx(shared / (seen_a + seen_b - shared), rel=1e-4)


def test_a_track_has_the_masks_of_one_instance_and_its_detection_rate() -> None:
    """Two instances in five views; in two of them one mask joins both."""
    inside, view = [], []
    first, second = np.arange(20) < 9, (np.arange(20) >= 9) & (np.arange(20) < 18)
    for number in range(5):
        joined = np.arange(20) < 20  # and a little more than both
        masks = [joined] if number < 2 else [first, second]
        inside += masks
        view += [number] * len(masks)
    tracks = find_tracks(association_of(np.stack(inside, axis=1), np.ones((20, 5)), view))

    assert [track.detection_rate for track in tracks] == [
        0.6,
        0.6,
    ]  # two joining masks are no track
    assert {tuple(np.flatnonzero(track.members)) for track in tracks} == {
        tuple(range(9)),
        tuple(range(9, 18)),
    }
    assert all(track.size == 9 for track in tracks)


def test_without_masks_there_are_no_tracks() -> None:
    assert find_tracks(association_of(np.zeros((4, 0)), np.ones((4, 2)), [])) == []


FRONT, BACK = range(15), range(6, 21)  # 9 in both: too few for their masks, enough for sides


def masks_of(*of_views: Sequence[Sequence[int]]) -> tuple[np.ndarray, list[int]]:
    """Columns of 21 Gaussians, and each one's view, from each view's masks."""
    columns = [np.isin(np.arange(21), list(mask)) for masks in of_views for mask in masks]
    return np.stack(columns, axis=1), [v for v, masks in enumerate(of_views) for _ in masks]


def seen_from(front: int, back: int) -> np.ndarray:
    """The first views do not see the last Gaussian, the other views not the first."""
    visible = np.ones((21, front + back), dtype=bool)
    visible[20, :front] = visible[0, front:] = False
    return visible


def test_a_front_and_a_back_that_masks_alone_do_not_join_are_one_track() -> None:
    inside, view = masks_of(*[[FRONT]] * 6, *[[BACK]] * 5)

    (track,) = find_tracks(association_of(inside, seen_from(6, 5), view))

    assert track.detection_rate == 1
    assert np.flatnonzero(track.members).tolist() == [*range(15), 20]  # 15 to 19: 5 of 11 masks


@pytest.mark.parametrize(
    ("of_views", "reason"),
    [
        ([[[*FRONT]]] * 5 + [[[*FRONT], [*BACK]]] + [[[*BACK]]] * 5, "one view tells them apart"),
        ([[[*range(6)]]] * 6 + [[[*range(15)]]] * 5, "one holds the other"),
        ([[[*range(11)]]] * 6 + [[[*range(10, 21)]]] * 5, "hardly any Gaussian is in both"),
        ([[[*FRONT]]] * 3 + [[[*BACK]]] * 4 + [[]] * 4, "views do not agree on the front"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_tracks_stay_apart(of_views, reason: str) -> None:
    inside, view = masks_of(*of_views)

    assert len(find_tracks(association_of(inside, seen_from(6, 5), view))) == 2, reason
