import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from splatseg.lifting.tracks import MIN_SEEN, find_tracks, gathered, known_ious, link


def groups(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def symmetric(count: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 1, (count, count)).astype(np.float32)
    return np.triu(values, 1) + np.triu(values, 1).T


@settings(max_examples=40)
@given(st.integers(2, 30), st.integers(0, 2**16))
def test_where_all_pairs_are_known_it_is_average_linkage(count: int, seed: int) -> None:
    iou = symmetric(count, seed)
    tree = linkage(squareform(1 - iou.astype(float), checks=False), "average")
    expected = fcluster(tree, 0.5, "distance")

    assert groups(link(iou, np.ones_like(iou, dtype=bool))) == groups(expected)


@settings(max_examples=20)
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
    np.testing.assert_allclose(gathered(matrix, group), expected, rtol=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 2**16))
def test_ious_count_what_both_views_see(incidence_of, seed: int) -> None:
    random = np.random.default_rng(seed)
    visible = random.random((40, 3)) < 0.7
    view = [0, 0, 1, 2, 2]
    inside = (random.random((40, 5)) < 0.4) & visible[:, view]
    weight = random.uniform(0.1, 2, 40).astype(np.float32)

    iou, known = known_ious(incidence_of(inside, visible, view, weight))

    for a in range(5):
        for b in range(5):
            mine = weight[inside[:, a] & visible[:, view[b]]].sum()
            yours = weight[inside[:, b] & visible[:, view[a]]].sum()
            shared = weight[inside[:, a] & inside[:, b]].sum()
            sizes = weight[inside[:, a]].sum(), weight[inside[:, b]].sum()
            assert known[a, b] == (mine > MIN_SEEN * sizes[0] and yours > MIN_SEEN * sizes[1])
            if known[a, b]:
                assert iou[a, b] == pytest.approx(shared / (mine + yours - shared), rel=1e-4)


def test_a_track_is_the_masks_of_one_thing_and_its_support_their_share_of_the_views(
    incidence_of,
) -> None:
    """Two things in five views; in two of them one mask joins both."""
    inside, view = [], []
    first, second = np.arange(20) < 9, (np.arange(20) >= 9) & (np.arange(20) < 18)
    for number in range(5):
        joined = np.arange(20) < 20  # and a little more than both
        things = [joined] if number < 2 else [first, second]
        inside += things
        view += [number] * len(things)
    tracks = find_tracks(incidence_of(np.stack(inside, axis=1), np.ones((20, 5)), view))

    assert [track.support for track in tracks] == [0.6, 0.6]  # two joining masks are no track
    assert {tuple(np.flatnonzero(track.core)) for track in tracks} == {
        tuple(range(9)),
        tuple(range(9, 18)),
    }
    assert all(track.size == 9 for track in tracks)


def test_without_masks_there_are_no_tracks(incidence_of) -> None:
    assert find_tracks(incidence_of(np.zeros((4, 0)), np.ones((4, 2)), [])) == []
