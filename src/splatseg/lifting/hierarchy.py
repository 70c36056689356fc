"""Which tracks are objects, which are parts of them, and what each Gaussian belongs to.

1. Tracks that most views have a mask of are candidates. They nest: a track's parent is the smallest
   one that holds most of it. A child is an object if its part/whole score says that the geometry
   separates it from the rest of its parent; else it is a part. A track without a parent is an
   object.
2. A Gaussian belongs to the smallest object that has it as a member: of a plate with a lemon on it,
   what is left without the lemon is the plate.
3. Gaussians of no candidate (mirrors, glass: masks differ from view to view) get the largest tracks
   of a lower detection rate there that do not join objects.
4. At the level of parts an object is cut into its parts and the rest of it, at that of subparts
   these again. What has no parts is the same at all levels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from splatseg.lifting.association import MaskAssociation
from splatseg.lifting.tracks import Track, members_of
from splatseg.masks.config import LEVELS, Level
from splatseg.masks.levels import MAX_PART, MIN_INSIDE, depths, lies_in, smallest_container

MIN_DETECTION_RATE = 0.35  # of a candidate
MIN_RARE_DETECTION_RATE = 0.12  # of a part, and of a track for Gaussians of no candidate
MAX_JOINED = 0.3  # the fraction of such a track that objects may have already
MIN_WHOLE_SCORE = 0.57  # from which a child is an object; docs/method.md has its evidence
SCENE_FRACTION = 0.25  # a mask with more of its view is the scene's, not an object's

PartWholeScores = Callable[
    [Bool[np.ndarray, "n k"], Sequence[tuple[int, int]]], Float64[np.ndarray, " p"]
]
"""Instances and (whole, part) pairs of them to the part/whole score of each pair."""


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The instances of a scene at one level, numbered from 1."""

    tracks: Sequence[Track]
    """Instance k + 1 has track k; decreasing in size, so that a smaller one has a larger id."""
    labels: Int64[np.ndarray, " n"]
    """The instance of each Gaussian, 0 for none."""


def find_objects(
    tracks: Sequence[Track], association: MaskAssociation, part_whole_scores: PartWholeScores
) -> dict[Level, SceneObjects]:
    """The objects among `tracks`, and their parts and subparts; a level that adds none is absent.

    `tracks` decrease in size.
    """
    sizable = [t for t in tracks if np.median(association.fraction[t.segments]) < SCENE_FRACTION]
    candidates = [track for track in sizable if track.detection_rate >= MIN_DETECTION_RATE]
    objects = select_wholes(candidates, association, part_whole_scores)
    rare = [track for track in sizable if track.detection_rate < MIN_DETECTION_RATE]
    objects += fill_with_rare(rare, objects, association)
    wholes = number_instances(objects, len(association.weight))
    parts, part_depths = find_parts(sizable, wholes, association)
    levels: dict[Level, SceneObjects] = {"whole": wholes}
    for depth, level in enumerate(LEVELS[1:], start=1):
        if (part_depths >= depth).any():
            is_last = depth == len(LEVELS) - 1
            shown = [p for p, at in zip(parts, part_depths, strict=True) if at <= depth or is_last]
            levels[level] = number_instances([*objects, *shown], len(association.weight))
    return levels


def select_wholes(
    candidates: Sequence[Track], association: MaskAssociation, part_whole_scores: PartWholeScores
) -> list[Track]:
    """The candidates that are objects, not parts; `candidates` decrease in size."""
    members = members_of(candidates, len(association.weight))
    parents = parents_of(members, association.weight)
    pairs = [(int(whole), part) for part, whole in enumerate(parents) if whole >= 0]
    is_object = parents < 0
    if pairs:
        scores = part_whole_scores(members, pairs)
        for (_, part), score in zip(pairs, scores, strict=True):
            is_object[part] = score >= MIN_WHOLE_SCORE
    return [track for track, keep in zip(candidates, is_object, strict=True) if keep]


def fill_with_rare(
    rare: Sequence[Track], objects: Sequence[Track], association: MaskAssociation
) -> list[Track]:
    """What the `rare` tracks have of the Gaussians that `objects` leave, one after the other."""
    taken = np.zeros(len(association.weight), dtype=bool)
    for track in objects:
        taken |= track.members
    found = []
    for track in rare:
        joined = float(association.weight @ (track.members & taken))
        if track.detection_rate >= MIN_RARE_DETECTION_RATE and joined < MAX_JOINED * track.size:
            found.append(restrict(track, ~taken, association))
            taken |= track.members
    return found


def find_parts(
    tracks: Sequence[Track], wholes: SceneObjects, association: MaskAssociation
) -> tuple[list[Track], Int64[np.ndarray, " p"]]:
    """The tracks that lie in one object, without what is of others, and the depth of each.

    The depth of a part is 1, that of a part of it 2, and so on. Parts decrease in size.
    """
    weight = association.weight
    sizes = np.bincount(wholes.labels, weight, len(wholes.tracks) + 1)
    parts = []
    for track in tracks:
        shared = np.bincount(wholes.labels[track.members], weight[track.members], len(sizes))
        shared[0] = 0  # of no object
        owner = int(shared.argmax())
        is_inside = MIN_INSIDE * track.size <= shared[owner] <= MAX_PART * sizes[owner]
        if is_inside and track.detection_rate >= MIN_RARE_DETECTION_RATE:
            parts.append(restrict(track, wholes.labels == owner, association))
    parts.sort(key=lambda track: -track.size)
    return parts, 1 + depths(parents_of(members_of(parts, len(weight)), weight))


def restrict(
    track: Track, gaussians: Bool[np.ndarray, " n"], association: MaskAssociation
) -> Track:
    """The track with only those of its Gaussians."""
    members = track.members & gaussians
    return replace(track, members=members, size=float(association.weight @ members))


def number_instances(instances: Sequence[Track], gaussians: int) -> SceneObjects:
    """The instances by decreasing size; a Gaussian is of the smallest that it is a member of."""
    tracks = sorted(instances, key=lambda track: -track.size)
    labels = np.zeros(gaussians, dtype=np.int64)
    for number, track in enumerate(tracks, start=1):
        labels[track.members] = number
    return SceneObjects(tracks, labels)


def parents_of(
    members: Bool[np.ndarray, "n k"], weight: Float32[np.ndarray, " n"]
) -> Int64[np.ndarray, " k"]:
    """The smallest instance that each instance (a column) lies in, -1 for none."""
    columns = members.astype(np.float32)
    shared = (columns * weight[:, None]).T @ columns
    return smallest_container(lies_in(shared), shared.diagonal())
