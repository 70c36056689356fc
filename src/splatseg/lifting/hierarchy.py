"""Which tracks are objects, which are parts of them, and what each Gaussian belongs to.

1. Tracks that most views have a mask of are candidates. They nest: a track's parent is the smallest
   one that holds most of it. A child that the geometry parts from the rest of its parent is an
   object; else it is a part. What has no parent is an object.
2. A Gaussian belongs to the smallest object that holds it: of a plate with a lemon on it, what is
   left without the lemon is the plate.
3. What no candidate explains (mirrors, glass: masks differ from view to view) takes the largest
   tracks of less support there that do not join objects.
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

MIN_DETECTION_RATE = 0.35  # of a candidate
MIN_RARE_DETECTION_RATE = 0.12  # of a part, and of a track that fills what candidates leave
MAX_JOINED = 0.3  # the share of a filling track that objects may hold already
MIN_INSIDE = 0.8  # the share of a child that lies in its parent
MAX_CHILD = 0.8  # a child's size, as a share of its parent's
MIN_WHOLE_SCORE = 0.57  # from which a child is an object; docs/method.md has its evidence
SCENE_FRACTION = 0.25  # a mask with more of its view is the scene's, not an object's

PartWholeScores = Callable[
    [Bool[np.ndarray, "n k"], Sequence[tuple[int, int]]], Float64[np.ndarray, " p"]
]
"""Things and (whole, part) pairs of them to how much each pair is parted."""


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The things of a scene at one level, numbered from 1."""

    tracks: Sequence[Track]
    """Thing k + 1 has track k; decreasing in size, so that a smaller thing has a larger id."""
    labels: Int64[np.ndarray, " n"]
    """The thing of each Gaussian, 0 for none."""


def find_objects(
    tracks: Sequence[Track], association: MaskAssociation, part_whole_scores: PartWholeScores
) -> dict[Level, SceneObjects]:
    """The objects among `tracks`, and their parts and subparts; a level that adds none is absent.

    `tracks` decrease in size.
    """
    sizable = [t for t in tracks if np.median(association.share[t.segments]) < SCENE_FRACTION]
    candidates = [track for track in sizable if track.detection_rate >= MIN_DETECTION_RATE]
    objects = separate(candidates, association, part_whole_scores)
    objects += filling(
        [t for t in sizable if t.detection_rate < MIN_DETECTION_RATE], objects, association
    )
    wholes = numbered(objects, len(association.weight))
    parts, depths = parts_of(sizable, wholes, association)
    levels: dict[Level, SceneObjects] = {"whole": wholes}
    for depth, level in enumerate(LEVELS[1:], start=1):
        if (depths >= depth).any():
            is_last = depth == len(LEVELS) - 1
            shown = [p for p, at in zip(parts, depths, strict=True) if at <= depth or is_last]
            levels[level] = numbered([*objects, *shown], len(association.weight))
    return levels


def separate(
    candidates: Sequence[Track], association: MaskAssociation, part_whole_scores: PartWholeScores
) -> list[Track]:
    """The candidates that are objects, not parts; `candidates` decrease in size."""
    cores = members_of(candidates, len(association.weight))
    parents = nest(cores, association.weight)
    pairs = [(int(whole), part) for part, whole in enumerate(parents) if whole >= 0]
    is_object = parents < 0
    if pairs:
        parted = part_whole_scores(cores, pairs)
        for (_, part), value in zip(pairs, parted, strict=True):
            is_object[part] = value >= MIN_WHOLE_SCORE
    return [track for track, keep in zip(candidates, is_object, strict=True) if keep]


def filling(
    rare: Sequence[Track], objects: Sequence[Track], association: MaskAssociation
) -> list[Track]:
    """What the `rare` tracks hold that `objects` leave, one after the other."""
    taken = np.zeros(len(association.weight), dtype=bool)
    for track in objects:
        taken |= track.members
    found = []
    for track in rare:
        joined = float(association.weight @ (track.members & taken))
        if track.detection_rate >= MIN_RARE_DETECTION_RATE and joined < MAX_JOINED * track.size:
            found.append(within(track, ~taken, association))
            taken |= track.members
    return found


def parts_of(
    tracks: Sequence[Track], wholes: SceneObjects, association: MaskAssociation
) -> tuple[list[Track], Int64[np.ndarray, " p"]]:
    """The tracks that lie in one object, cut to what is its own, and how deep: 1 is a part's depth.

    `tracks` decrease in size, and parts do.
    """
    own = np.bincount(wholes.labels, association.weight, len(wholes.tracks) + 1)
    parts = []
    for track in tracks:
        shares = np.bincount(
            wholes.labels[track.members], association.weight[track.members], len(own)
        )
        shares[0] = 0  # nobody's
        owner = int(shares.argmax())
        is_inside = MIN_INSIDE * track.size <= shares[owner] <= MAX_CHILD * own[owner]
        if is_inside and track.detection_rate >= MIN_RARE_DETECTION_RATE:
            parts.append(within(track, wholes.labels == owner, association))
    parts.sort(key=lambda track: -track.size)
    return parts, depths_of(nest(members_of(parts, len(association.weight)), association.weight))


def depths_of(parents: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    """1 for what has no parent, else one more than the parent's; parents come before children."""
    depths = np.ones_like(parents)
    for index, parent in enumerate(parents):
        if parent >= 0:
            depths[index] = depths[parent] + 1
    return depths


def within(track: Track, gaussians: Bool[np.ndarray, " n"], association: MaskAssociation) -> Track:
    """The track with only those of its Gaussians."""
    members = track.members & gaussians
    return replace(track, members=members, size=float(association.weight @ members))


def numbered(things: Sequence[Track], gaussians: int) -> SceneObjects:
    """The things by decreasing size; a Gaussian is the smallest one's that holds it."""
    tracks = sorted(things, key=lambda track: -track.size)
    labels = np.zeros(gaussians, dtype=np.int64)
    for number, track in enumerate(tracks, start=1):
        labels[track.members] = number
    return SceneObjects(tracks, labels)


def nest(
    cores: Bool[np.ndarray, "n k"], weight: Float32[np.ndarray, " n"]
) -> Int64[np.ndarray, " k"]:
    """The smallest thing that holds each thing, -1 for none; things decrease in size."""
    columns = cores.astype(np.float32)
    shared = (columns * weight[:, None]).T @ columns
    sizes = shared.diagonal()
    holds = (shared >= MIN_INSIDE * sizes) & (sizes <= MAX_CHILD * sizes[:, None])
    order = np.arange(cores.shape[1])[:, None]
    return np.where(holds, order, -1).max(axis=0, initial=-1)
