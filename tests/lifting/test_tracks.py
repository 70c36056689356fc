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
@given(st.integers(0, 30), st.integers(0, 2**16))
def test_where_all_pairs_are_known_it_is_average_linkage(count: int, seed: int) -> None:
    iou = symmetric(count, seed)
    labels, expected = link(iou, np.ones_like(iou, dtype=bool)), np.zeros(count)
    if count > 1:
        tree = linkage(squareform(1 - iou.astype(float), checks=False), "average")
        expected = fcluster(tree, 0.5, "distance")
    assert groups(labels) == groups(expected)
    if count:
        _, columns = np.unique(labels, return_inverse=True)
        membership = np.eye(count)[columns][:, : columns.max() + 1]
        sums = membership.T @ iou.astype(np.float64) @ membership
        # A float32 sum of up to 900 terms of one sign, each rounded to 6e-8.
        np.testing.assert_allclose(sum_groups(iou, columns), sums, rtol=1e-6)


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
    """Two instances in five views; in two of them one mask, a little larger, joins both."""
    first, second, joined = (np.isin(np.arange(20), range(*r)) for r in ((9,), (9, 18), (20,)))
    inside = np.stack([joined, joined, *[first, second] * 3], axis=1)
    tracks = find_tracks(association_of(inside, np.ones((20, 5)), [0, 1, 2, 2, 3, 3, 4, 4]))
    assert [track.detection_rate for track in tracks] == [0.6, 0.6]  # two masks are no track
    found = {tuple(np.flatnonzero(track.members)) for track in tracks}
    assert found == {tuple(range(9)), tuple(range(9, 18))}
    assert all(track.size == 9 for track in tracks)
    assert find_tracks(association_of(np.zeros((4, 0)), np.ones((4, 2)), [])) == []


# 9 in both: too few for their masks, enough for sides
FRONT, BACK = np.arange(15), np.arange(6, 21)


@pytest.mark.parametrize(
    ("of_views", "count"),
    [
        ([[FRONT]] * 6 + [[BACK]] * 5, 1),  # though masks alone do not join them
        ([[FRONT]] * 5 + [[FRONT, BACK]] + [[BACK]] * 5, 2),  # one view tells them apart
        ([[np.arange(6)]] * 6 + [[np.arange(15)]] * 5, 2),  # one holds the other
        ([[np.arange(11)]] * 6 + [[np.arange(10, 21)]] * 5, 2),  # hardly any Gaussian is in both
        ([[FRONT]] * 3 + [[BACK]] * 4 + [[]] * 4, 2),  # views do not agree on the front
    ],
)
def test_a_front_and_a_back_are_one_track_where_nothing_tells_them_apart(of_views, count) -> None:
    """The first six views do not see the last Gaussian, the other five not the first."""
    visible = np.ones((21, 11), dtype=bool)
    visible[20, :6] = visible[0, 6:] = False
    masks = [
        (v, np.isin(np.arange(21), mask)) for v, masks in enumerate(of_views) for mask in masks
    ]
    inside = np.stack([mask for _, mask in masks], axis=1)
    tracks = find_tracks(association_of(inside, visible, [v for v, _ in masks]))
    assert len(tracks) == count
    if count == 1:
        assert tracks[0].detection_rate == 1
        assert np.flatnonzero(tracks[0].members).tolist() == [*range(15), 20]  # 15-19: 5 of 11
