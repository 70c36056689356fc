"""Tracks: masks of different views that show the same instance.

The similarity of two masks is the IoU of their Gaussians, counted where both views see. It is known
only where both views see enough of both masks. Masks are joined by average linkage over the known
pairs: the front and the back of an instance, which no view sees together, are joined through the
sides.

A track is such a group. A Gaussian is a member if enough of the track's views that see it have it
in the track's mask. The detection rate is the fraction of views with a mask of the track among
those that see it: an object has a mask of its own in most views; a mask that joins two objects, or
shows half of one, seldom comes twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import sparse

from splatseg.lifting.association import MaskAssociation

SAME_INSTANCE = 0.5  # mean IoU from which groups of masks are joined
MIN_SEEN = 0.3  # of an instance: a view that sees less is not counted
MIN_VIEWS = 3  # of a track
MIN_MEMBERSHIP = 0.5  # of the views that see a Gaussian, for it to be a member
SAME_SIDES = 0.4  # IoU from which two tracks may be sides of one instance
MAX_WITHIN = 0.85  # the fraction of a side that lies in the other
MAX_COMMON = 0.1  # the fraction of its views that have a mask of the other
MIN_SIDE_DETECTION_RATE = 0.35  # of a side: with less it may be a mask of two instances
LINKED_GAUSSIANS = 40_000  # masks are compared by as many, at most


@dataclass(frozen=True, eq=False)
class Track:
    """The masks and the Gaussians of an instance."""

    segments: Int64[np.ndarray, " k"]
    """As the association numbers them."""
    members: Bool[np.ndarray, " n"]
    """Which Gaussians belong to it."""
    size: float
    """Their weight."""
    detection_rate: float
    """Views with a mask of it, as a fraction of those that see it; at most 1."""


def find_tracks(association: MaskAssociation) -> list[Track]:
    """All tracks of at least MIN_VIEWS views, the largest first."""
    labels = link(*known_ious(subsample(association)))
    tracks = _make_tracks(association, [np.flatnonzero(labels == k) for k in np.unique(labels)])
    instances = link(*side_ious(tracks, association), SAME_SIDES)
    groups = [[tracks[t] for t in np.flatnonzero(instances == k)] for k in np.unique(instances)]
    return _make_tracks(association, [np.concatenate([t.segments for t in g]) for g in groups])


def subsample(association: MaskAssociation) -> MaskAssociation:
    """The same for every k-th Gaussian, so that at most LINKED_GAUSSIANS are left."""
    step = -(-len(association.weight) // LINKED_GAUSSIANS)
    return MaskAssociation(
        inside=association.inside[::step],
        visible=association.visible[::step],
        weight=association.weight[::step],
        view=association.view,
        segment=association.segment,
        fraction=association.fraction,
    )


def known_ious(
    association: MaskAssociation,
) -> tuple[Float32[np.ndarray, "s s"], Bool[np.ndarray, "s s"]]:
    """IoU of each two segments' Gaussians where both views see, and whether it is known."""
    weighted = (association.inside * association.weight[:, None]).T.tocsr()
    shared = (weighted @ association.inside).toarray()
    seen = np.asarray(weighted @ association.visible.astype(np.float32))
    seen_by = seen[:, association.view]  # [a, b]: how much of a the view of b sees
    enough = seen_by > MIN_SEEN * shared.diagonal()[:, None]
    union = seen_by + seen_by.T - shared
    iou = (shared / np.maximum(union, np.finfo(np.float32).tiny)).astype(np.float32)
    return iou, enough & enough.T


def link(
    iou: Float32[np.ndarray, "s s"], known: Bool[np.ndarray, "s s"], same: float = SAME_INSTANCE
) -> Int64[np.ndarray, " s"]:
    """Group labels from 0, by average linkage over known pairs, down to a mean IoU of `same`.

    In each round all pairs that are each other's nearest are joined: average linkage gives the
    same groups whether they are joined one by one or together.
    """
    sums = np.where(known, iou, 0).astype(np.float32)
    counts = known.astype(np.float32)
    labels = np.arange(len(iou))
    while len(sums) > 1:
        np.fill_diagonal(counts, 0)
        mean = np.divide(sums, counts, out=np.full_like(sums, -1), where=counts > 0)
        nearest = mean.argmax(axis=1)
        group = np.arange(len(sums))
        joins = (nearest[nearest] == group) & (group < nearest) & (mean.max(axis=1) >= same)
        if not joins.any():
            break
        group[nearest[joins]] = group[joins]
        group = np.unique(group, return_inverse=True)[1]
        sums, counts = sum_groups(sums, group), sum_groups(counts, group)
        labels = group[labels]
    return labels


def sum_groups(
    matrix: Float32[np.ndarray, "s s"], group: Int64[np.ndarray, " s"]
) -> Float32[np.ndarray, "g g"]:
    """The matrix with the rows and the columns of each group summed."""
    ones = np.ones(len(group), np.float32)
    gather = sparse.csr_array((ones, (group, np.arange(len(group)))))
    return np.asarray(gather @ (gather @ matrix).T)


def side_ious(
    tracks: Sequence[Track], association: MaskAssociation
) -> tuple[Float32[np.ndarray, "t t"], Bool[np.ndarray, "t t"]]:
    """IoU of each two tracks' members, and whether they may be sides of one instance."""
    columns = members_of(tracks, len(association.weight)).astype(np.float32)
    shared = (columns * association.weight[:, None]).T @ columns
    sizes = shared.diagonal()
    iou = shared / np.maximum(sizes + sizes[:, None] - shared, np.finfo(np.float32).tiny)
    seen = np.zeros((len(tracks), association.visible.shape[1]), dtype=np.float32)
    for index, track in enumerate(tracks):
        seen[index, association.view[track.segments]] = 1
    views = seen.sum(axis=1)
    is_detected = np.array(
        [track.detection_rate >= MIN_SIDE_DETECTION_RATE for track in tracks], dtype=bool
    )
    may_join = (
        (shared < MAX_WITHIN * np.minimum(sizes, sizes[:, None]))
        & (seen @ seen.T <= MAX_COMMON * np.minimum(views, views[:, None]))
        & is_detected
        & is_detected[:, None]
    )
    return iou, may_join


def members_of(tracks: Sequence[Track], gaussians: int) -> Bool[np.ndarray, "n t"]:
    """The members of tracks, of which there may be none, as columns."""
    columns = [track.members for track in tracks]
    return np.stack(columns, axis=1) if columns else np.zeros((gaussians, 0), dtype=bool)


def _make_tracks(
    association: MaskAssociation, groups: Sequence[Int64[np.ndarray, " _"]]
) -> list[Track]:
    columns = association.inside.tocsc()
    found = [_make_track(association, columns, segments) for segments in groups]
    return sorted((t for t in found if t is not None), key=lambda track: -track.size)


def _make_track(
    association: MaskAssociation, columns: sparse.csc_array, segments: Int64[np.ndarray, " k"]
) -> Track | None:
    views = np.unique(association.view[segments])
    if len(views) < MIN_VIEWS:
        return None
    holding: Float64[np.ndarray, " n"] = np.asarray(columns[:, segments].sum(axis=1)).ravel()
    seeing = association.visible[:, views].sum(axis=1)
    members = holding > MIN_MEMBERSHIP * np.maximum(seeing, 1)
    weights = association.weight * members
    size = float(weights.sum())
    if size == 0:
        return None
    seen = int((weights @ association.visible > MIN_SEEN * size).sum())
    return Track(segments, members, size, min(1.0, len(views) / max(seen, 1)))
