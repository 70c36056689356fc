from collections.abc import Sequence

import numpy as np
import pytest
from builders.associations import association_of

from splatseg.lifting.association import MaskAssociation
from splatseg.lifting.hierarchy import SCENE_FRACTION, SceneObjects, find_objects, parents_of
from splatseg.lifting.tracks import Track
from splatseg.masks import Level

COUNT = 30


def track(first: int, last: int, detection_rate: float = 0.8, segment: int = 0) -> Track:
    members = np.zeros(COUNT, dtype=bool)
    members[first:last] = True
    return Track(np.array([segment]), members, float(last - first), detection_rate)


def seen(fraction: float = 0.01) -> MaskAssociation:
    """One mask with that fraction of its view; all Gaussians have the same weight."""
    return association_of(np.zeros((COUNT, 1)), np.ones((COUNT, 1)), [0], fraction=fraction)


def levels_of(
    tracks: list[Track],
    parted: float | dict[int, float] = 1.0,
    association: MaskAssociation | None = None,
) -> dict[Level, SceneObjects]:
    """`parted`: the part_whole_scores of all pairs, or by the size of the smaller one."""

    def part_whole_scores(instances: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        sizes = [int(instances[:, part].sum()) for _, part in pairs]
        return np.array([parted[s] if isinstance(parted, dict) else parted for s in sizes])

    tracks = sorted(tracks, key=lambda track: -track.size)
    return find_objects(tracks, association or seen(), part_whole_scores)


def objects_of(
    tracks: list[Track],
    parted: float | dict[int, float] = 1.0,
    association: MaskAssociation | None = None,
) -> SceneObjects:
    return levels_of(tracks, parted, association)["whole"]


def members(objects: SceneObjects) -> list[list[int]]:
    return [np.flatnonzero(objects.labels == k).tolist() for k in range(1, len(objects.tracks) + 1)]


def test_a_lemon_on_a_plate_is_an_object_and_the_plate_is_the_rest() -> None:
    objects = objects_of([track(0, 20), track(15, 20)], parted=0.9)
    assert members(objects) == [list(range(15)), list(range(15, 20))]


def test_a_cap_is_a_part_of_its_bottle() -> None:
    assert members(objects_of([track(0, 20), track(15, 20)], parted=0.3)) == [list(range(20))]


def test_duplicates_that_most_masks_join_are_two() -> None:
    objects = objects_of([track(0, 20), track(0, 10), track(10, 20)], parted=0.7)
    assert sorted(map(len, members(objects))) == [0, 10, 10]


def test_a_part_of_a_part_is_judged_within_the_part() -> None:
    tracks = [track(0, 20), track(10, 20), track(16, 20)]
    assert members(objects_of(tracks, parted={10: 0.2, 4: 0.9})) == [
        list(range(16)),
        list(range(16, 20)),
    ]


def test_rare_masks_fill_what_is_left_but_join_notrack() -> None:
    strong, rare, joining = track(0, 10), track(10, 20, 0.2), track(0, 24, 0.3)
    objects = objects_of([strong, rare, joining])
    assert members(objects) == [list(range(10)), list(range(10, 20))]


def test_masks_that_come_once_are_notrack() -> None:
    assert objects_of([track(0, 10, detection_rate=0.05)]).labels.tolist() == [0] * COUNT


def test_what_fills_half_a_view_is_no_object() -> None:
    objects = objects_of([track(0, 10, segment=0)], association=seen(SCENE_FRACTION + 0.01))
    assert objects.tracks == []


def test_smaller_objects_have_larger_ids() -> None:
    objects = objects_of([track(0, 3), track(5, 15), track(20, 25, 0.2)])
    assert [int(track.size) for track in objects.tracks] == [10, 5, 3]


def test_no_tracks_no_objects() -> None:
    assert objects_of([]).labels.tolist() == [0] * COUNT


@pytest.mark.parametrize("count", [0, 1, 6])
def test_parents_against_a_loop(count: int) -> None:
    random = np.random.default_rng(count)
    columns = np.zeros((COUNT, count), dtype=bool)
    for column in columns.T:
        first = int(random.integers(0, COUNT - 1))
        column[first : int(random.integers(first + 1, COUNT + 1))] = True
    columns = columns[:, np.argsort(-columns.sum(axis=0), kind="stable")]
    parents = parents_of(columns, np.ones(COUNT, dtype=np.float32))
    for part in range(count):
        size = columns[:, part].sum()
        holders = [
            whole
            for whole in range(count)
            if (columns[:, part] & columns[:, whole]).sum() >= 0.8 * size
            and size <= 0.8 * columns[:, whole].sum()
        ]
        assert parents[part] == (max(holders) if holders else -1)


def test_parts_refine_an_object_and_subparts_its_parts() -> None:
    levels = levels_of([track(0, 20), track(8, 20), track(14, 20)], parted=0.2)
    assert members(levels["whole"]) == [list(range(20))]
    assert members(levels["part"]) == [list(range(8)), list(range(8, 20))]
    assert members(levels["subpart"]) == [
        list(range(8)),
        list(range(8, 14)),
        list(range(14, 20)),
    ]


def test_a_rare_track_is_a_part_but_no_object() -> None:
    levels = levels_of([track(0, 20), track(10, 20, detection_rate=0.15)], parted=0.9)
    assert members(levels["whole"]) == [list(range(20))]
    assert members(levels["part"]) == [list(range(10)), list(range(10, 20))]
    assert "subpart" not in levels


def test_what_lies_on_an_object_is_no_part_of_it() -> None:
    levels = levels_of([track(0, 20), track(12, 20), track(16, 20)], parted={8: 0.9, 4: 0.1})
    assert members(levels["whole"]) == [list(range(12)), list(range(12, 20))]
    assert members(levels["part"]) == [list(range(12)), list(range(12, 16)), list(range(16, 20))]


def test_a_part_stays_within_its_object() -> None:
    """A track that reaches over into the next object is cut there."""
    levels = levels_of([track(0, 20), track(20, 28), track(11, 22, detection_rate=0.2)])
    assert members(levels["part"]) == [list(range(11)), list(range(11, 20)), list(range(20, 28))]


def test_nearly_all_of_an_object_is_no_part_of_it() -> None:
    assert list(levels_of([track(0, 20), track(1, 18, detection_rate=0.2)])) == ["whole"]
