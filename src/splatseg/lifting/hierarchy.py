"""Which tracks are objects, and which object each Gaussian belongs to.

1. Tracks that most views have a mask of are candidates. They nest: a track's parent is the smallest
   one that holds most of it. A child that the geometry parts from the rest of its parent is an
   object; else it is a part. What has no parent is an object.
2. A Gaussian belongs to the smallest object that holds it: of a plate with a lemon on it, what is
   left without the lemon is the plate.
3. What no candidate explains (mirrors, glass: masks differ from view to view) takes the largest
   tracks of less support there that do not join objects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from splatseg.lifting.incidence import Incidence
from splatseg.lifting.tracks import Track

MIN_SUPPORT = 0.35  # of a candidate
MIN_FILL_SUPPORT = 0.12  # of a track that fills what candidates leave
MAX_JOINED = 0.3  # the share of a filling track that objects may hold already
MIN_INSIDE = 0.8  # the share of a child that lies in its parent
MAX_CHILD = 0.8  # a child's size, as a share of its parent's
MIN_SEPARATENESS = 0.54  # from which a child is an object; docs/method.md has its evidence
SCENE_SHARE = 0.25  # a mask with more of its view is the scene's, not an object's

Separateness = Callable[
    [Bool[np.ndarray, "n k"], Sequence[tuple[int, int]]], Float64[np.ndarray, " p"]
]
"""Things and (whole, part) pairs of them to how much each pair is parted."""


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The objects of a scene, numbered from 1."""

    tracks: Sequence[Track]
    """Object k + 1 has track k; decreasing in size, so that a smaller object has a larger id."""
    labels: Int64[np.ndarray, " n"]
    """The object of each Gaussian, 0 for none."""


def find_objects(
    tracks: Sequence[Track], incidence: Incidence, separateness: Separateness
) -> SceneObjects:
    """The objects among `tracks`."""
    sizable = [t for t in tracks if np.median(incidence.share[t.segments]) < SCENE_SHARE]
    candidates = [track for track in sizable if track.support >= MIN_SUPPORT]
    objects = separate(candidates, incidence, separateness)
    taken = np.zeros(len(incidence.weight), dtype=bool)
    for track in objects:
        taken |= track.core
    for track in sizable:
        if MIN_FILL_SUPPORT <= track.support < MIN_SUPPORT:
            joined = incidence.weight @ (track.core & taken)
            if joined < MAX_JOINED * track.size:
                free = track.core & ~taken
                objects.append(
                    Track(track.segments, free, float(incidence.weight @ free), track.support)
                )
                taken |= free
    objects.sort(key=lambda track: -track.size)
    labels = np.zeros(len(incidence.weight), dtype=np.int64)
    for number, track in enumerate(objects, start=1):
        labels[track.core] = number
    return SceneObjects(objects, labels)


def separate(
    candidates: Sequence[Track], incidence: Incidence, separateness: Separateness
) -> list[Track]:
    """The candidates that are objects, not parts; `candidates` decrease in size."""
    if not candidates:
        return []
    cores = np.stack([track.core for track in candidates], axis=1)
    parents = nest(cores, incidence.weight)
    pairs = [(int(whole), part) for part, whole in enumerate(parents) if whole >= 0]
    is_object = parents < 0
    if pairs:
        parted = separateness(cores, pairs)
        for (_, part), value in zip(pairs, parted, strict=True):
            is_object[part] = value >= MIN_SEPARATENESS
    return [track for track, keep in zip(candidates, is_object, strict=True) if keep]


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
