from collections.abc import Sequence

import numpy as np
import pytest
from builders.associations import association_of

from splatseg.lifting.hierarchy import SCENE_FRACTION, SceneObjects, find_objects, parents_of
from splatseg.lifting.tracks import Track
from splatseg.masks import Level

COUNT = 30


def track(first: int, last: int, detection_rate: float = 0.8) -> Track:
    members = np.isin(np.arange(COUNT), range(first, last))
    return Track(np.array([0]), members, float(last - first), detection_rate)


def levels_of(
    tracks: list[Track], parted: dict[int, float], fraction: float = 0.01
) -> dict[Level, SceneObjects]:
    """`parted`: the part/whole score by the size of the part; the one mask fills `fraction`."""

    def part_whole_scores(instances: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        return np.array([parted.get(int(instances[:, part].sum()), 1.0) for _, part in pairs])

    tracks = sorted(tracks, key=lambda track: -track.size)
    one = association_of(np.zeros((COUNT, 1)), np.ones((COUNT, 1)), [0], fraction=fraction)
    return find_objects(tracks, one, part_whole_scores)


def cuts_of(objects: SceneObjects) -> list[tuple[int, int]]:
    """First and last of each object, which has all in between."""
    found = [np.flatnonzero(objects.labels == k) for k in range(1, len(objects.tracks) + 1)]
    assert all(np.array_equal(m, range(m[0], m[-1] + 1)) for m in found if len(m))
    return [(int(m[0]), int(m[-1]) + 1) if len(m) else (0, 0) for m in found]


LEMON = [track(0, 20), track(15, 20)]
NESTED = [track(0, 20), track(8, 20), track(14, 20)]


@pytest.mark.parametrize(
    ("tracks", "parted", "objects"),
    [
        (LEMON, {5: 0.9}, [(0, 15), (15, 20)]),  # on a plate
        (LEMON, {5: 0.3}, [(0, 20)]),  # a bottle's cap is a part of it
        # Duplicates that most masks join are two.
        ([track(0, 20), track(0, 10), track(10, 20)], {10: 0.7}, [(0, 0), (0, 10), (10, 20)]),
        # A part of a part is judged within the part.
        ([track(0, 20), track(10, 20), track(16, 20)], {10: 0.2, 4: 0.9}, [(0, 16), (16, 20)]),
        # Rare masks fill what is left but join nothing.
        ([track(0, 10), track(10, 20, 0.2), track(0, 24, 0.3)], {}, [(0, 10), (10, 20)]),
        ([track(0, 10, 0.05)], {}, []),  # masks that come once
        ([], {}, []),
        # Smaller objects have larger ids.
        ([track(0, 3), track(5, 15), track(20, 25, 0.2)], {}, [(5, 15), (20, 25), (0, 3)]),
    ],
)
def test_objects_are_what_tracks_and_scores_make(tracks, parted, objects) -> None:
    whole = levels_of(tracks, parted)["whole"]
    assert sorted(cuts_of(whole)) == sorted(objects)
    sizes = [track.size for track in whole.tracks]
    assert sizes == sorted(sizes, reverse=True)
    filled = levels_of(tracks, parted, fraction=SCENE_FRACTION + 0.01)["whole"]
    assert filled.tracks == [], "what fills half a view is no object"


@pytest.mark.parametrize(
    ("tracks", "parted", "whole", "part", "subpart"),
    [
        (NESTED, {12: 0.2, 6: 0.2}, [(0, 20)], [(0, 8), (8, 20)], [(0, 8), (8, 14), (14, 20)]),
        # A rare track is a part but no object.
        ([track(0, 20), track(10, 20, 0.15)], {10: 0.9}, [(0, 20)], [(0, 10), (10, 20)], None),
        # What lies on an object is no part of it.
        (
            [track(0, 20), track(12, 20), track(16, 20)],
            {8: 0.9, 4: 0.1},
            [(0, 12), (12, 20)],
            [(0, 12), (12, 16), (16, 20)],
            None,
        ),
        # A track that reaches over into the next object is cut there.
        (
            [track(0, 20), track(20, 28), track(11, 22, 0.2)],
            {},
            [(0, 20), (20, 28)],
            [(0, 11), (11, 20), (20, 28)],
            None,
        ),
        # Nearly all of an object is no part of it.
        ([track(0, 20), track(1, 18, 0.2)], {}, [(0, 20)], None, None),
    ],
)
def test_parts_refine_objects(tracks, parted, whole, part, subpart) -> None:
    levels = levels_of(tracks, parted)
    expected = {"whole": whole, "part": part, "subpart": subpart}
    assert {level: cuts_of(levels[level]) for level in levels} == {
        level: cuts for level, cuts in expected.items() if cuts
    }


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
