from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from splatseg.lifting.association import MaskAssociation
from splatseg.lifting.hierarchy import SCENE_FRACTION, SceneObjects, find_objects, nest
from splatseg.lifting.tracks import Track
from splatseg.masks import Level

COUNT = 30


def thing(first: int, last: int, detection_rate: float = 0.8, segment: int = 0) -> Track:
    members = np.zeros(COUNT, dtype=bool)
    members[first:last] = True
    return Track(np.array([segment]), members, float(last - first), detection_rate)


def seen(share: float = 0.01) -> MaskAssociation:
    """One mask with that share of its view; all Gaussians weigh the same."""
    return MaskAssociation(
        inside=sparse.csr_array(np.zeros((COUNT, 1), np.float32)),
        visible=np.ones((COUNT, 1), dtype=bool),
        weight=np.ones(COUNT, np.float32),
        view=np.zeros(1, np.int64),
        segment=np.zeros(1, np.int64),
        share=np.array([share], np.float32),
    )


def levels_of(
    tracks: list[Track],
    parted: float | dict[int, float] = 1.0,
    association: MaskAssociation | None = None,
) -> dict[Level, SceneObjects]:
    """`parted`: the part_whole_scores of all pairs, or by the size of the smaller thing."""

    def part_whole_scores(things: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        sizes = [int(things[:, part].sum()) for _, part in pairs]
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
    objects = objects_of([thing(0, 20), thing(15, 20)], parted=0.9)
    assert members(objects) == [list(range(15)), list(range(15, 20))]


def test_a_cap_is_a_part_of_its_bottle() -> None:
    assert members(objects_of([thing(0, 20), thing(15, 20)], parted=0.3)) == [list(range(20))]


def test_twins_that_most_masks_join_are_two() -> None:
    objects = objects_of([thing(0, 20), thing(0, 10), thing(10, 20)], parted=0.7)
    assert sorted(map(len, members(objects))) == [0, 10, 10]


def test_a_part_of_a_part_is_judged_within_the_part() -> None:
    tracks = [thing(0, 20), thing(10, 20), thing(16, 20)]
    assert members(objects_of(tracks, parted={10: 0.2, 4: 0.9})) == [
        list(range(16)),
        list(range(16, 20)),
    ]


def test_rare_masks_fill_what_is_left_but_join_nothing() -> None:
    strong, rare, joining = thing(0, 10), thing(10, 20, 0.2), thing(0, 24, 0.3)
    objects = objects_of([strong, rare, joining])
    assert members(objects) == [list(range(10)), list(range(10, 20))]


def test_masks_that_come_once_are_nothing() -> None:
    assert objects_of([thing(0, 10, detection_rate=0.05)]).labels.tolist() == [0] * COUNT


def test_what_fills_half_a_view_is_no_object() -> None:
    objects = objects_of([thing(0, 10, segment=0)], association=seen(SCENE_FRACTION + 0.01))
    assert objects.tracks == []


def test_smaller_objects_have_larger_ids() -> None:
    objects = objects_of([thing(0, 3), thing(5, 15), thing(20, 25, 0.2)])
    assert [int(track.size) for track in objects.tracks] == [10, 5, 3]


def test_no_tracks_no_objects() -> None:
    assert objects_of([]).labels.tolist() == [0] * COUNT


@pytest.mark.parametrize("count", [0, 1, 6])
def test_nesting_against_a_loop(count: int) -> None:
    random = np.random.default_rng(count)
    things = []
    for _ in range(count):
        first = int(random.integers(0, COUNT - 1))
        things.append(thing(first, int(random.integers(first + 1, COUNT + 1))))
    things.sort(key=lambda track: -track.size)
    cores = np.stack([t.members for t in things], axis=1) if things else np.zeros((COUNT, 0), bool)

    parents = nest(cores, np.ones(COUNT, dtype=np.float32))

    for part in range(count):
        holders = [
            whole
            for whole in range(count)
            if (cores[:, part] & cores[:, whole]).sum() >= 0.8 * cores[:, part].sum()
            and cores[:, part].sum() <= 0.8 * cores[:, whole].sum()
        ]
        assert parents[part] == (max(holders) if holders else -1)


def test_parts_refine_an_object_and_subparts_its_parts() -> None:
    levels = levels_of([thing(0, 20), thing(8, 20), thing(14, 20)], parted=0.2)
    assert members(levels["whole"]) == [list(range(20))]
    assert members(levels["part"]) == [list(range(8)), list(range(8, 20))]
    assert members(levels["subpart"]) == [
        list(range(8)),
        list(range(8, 14)),
        list(range(14, 20)),
    ]


def test_a_rare_track_is_a_part_but_no_object() -> None:
    levels = levels_of([thing(0, 20), thing(10, 20, detection_rate=0.15)], parted=0.9)
    assert members(levels["whole"]) == [list(range(20))]
    assert members(levels["part"]) == [list(range(10)), list(range(10, 20))]
    assert "subpart" not in levels


def test_what_lies_on_an_object_is_no_part_of_it() -> None:
    levels = levels_of([thing(0, 20), thing(12, 20), thing(16, 20)], parted={8: 0.9, 4: 0.1})
    assert members(levels["whole"]) == [list(range(12)), list(range(12, 20))]
    assert members(levels["part"]) == [list(range(12)), list(range(12, 16)), list(range(16, 20))]


def test_a_part_stays_within_its_object() -> None:
    """A track that reaches over into the next object is cut there."""
    levels = levels_of([thing(0, 20), thing(20, 28), thing(11, 22, detection_rate=0.2)])
    assert members(levels["part"]) == [list(range(11)), list(range(11, 20)), list(range(20, 28))]


def test_nearly_all_of_an_object_is_no_part_of_it() -> None:
    assert list(levels_of([thing(0, 20), thing(1, 18, detection_rate=0.2)])) == ["whole"]
