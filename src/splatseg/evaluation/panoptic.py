"""All objects of a scene without a prompt: the scores of `clusters` and `objects`.

Test views are scored at once: an IoU is one of whole tubes through all of them, and a label must
mean the same object in each. Counts are of pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import (
    Match,
    Overlaps,
    hungarian_iou,
    hungarian_matches,
    label_overlaps,
)
from splatseg.evaluation.truth import Truth

MATCHED_ABOVE = 0.5  # IoU: as far up, an object and a label can be each other's only match
PART_FRACTION = 0.1  # of an object's pixels: a label with less is a splinter, not a part
JOINED_FRACTION = 0.5  # of each of two objects' pixels, in a label that joins them

LabelMaps = Mapping[str, Integer[np.ndarray, "h w"]]
"""Test frame to its label map at the truth's size, 0 for no cluster."""


@dataclass(frozen=True)
class TubeScore:
    """One object through all test views."""

    object_id: int
    name: str
    match: Match
    """In the one-to-one assignment with the largest IoU sum."""
    matched: bool
    """Whether a label has an IoU above 0.5 with it. The assignment may have given it another."""
    parts: int
    """Labels that lie mostly in it and hold a tenth of it, at least."""


@dataclass(frozen=True)
class PanopticScore:
    """How the labels fit the objects, and in which way they do not."""

    objects: Sequence[TubeScore]
    sq: float
    tp: int
    fp: int
    fn: int
    ignored: int
    """Labels that lie mostly on void."""
    under_segmented: int
    """Labels that join objects."""

    @property
    def rq(self) -> float:
        """Recognition quality: the F1 score of objects and labels."""
        return self.tp / (self.tp + (self.fp + self.fn) / 2)

    @property
    def pq(self) -> float:
        """Panoptic quality (arXiv:1801.00868)."""
        return self.sq * self.rq

    @property
    def over_segmented(self) -> int:
        """Objects that are cut into two or more labels."""
        return sum(score.parts >= 2 for score in self.objects)


def score_clusters(truth: Truth, predicted: LabelMaps) -> dict[int, Match]:
    """Object id to the label that stands for it; `truth` is that of the test views."""
    return hungarian_iou(*_tubes(truth, predicted))


def score_objects(
    truth: Truth, void: Mapping[str, Bool[np.ndarray, "h w"]], predicted: LabelMaps
) -> PanopticScore:
    """`truth` is that of the test views; `void` says where its frames show what is no object."""
    labels, true = _tubes(truth, predicted)
    overlaps = label_overlaps(labels, true)
    if overlaps.objects.size == 0:
        raise SplatsegError("no test view shows an object in gt_instances/: nothing to score")
    is_void = np.concatenate([void[frame].ravel() for frame in truth.maps])
    void_sizes = label_overlaps(labels, is_void.astype(np.uint8)).shared.sum(axis=0)
    ious = overlaps.ious
    pairs = ious > MATCHED_ABOVE
    # A label with more than half of its pixels in one object has no majority on void.
    ignored = 2 * void_sizes > overlaps.label_sizes
    tp = int(np.count_nonzero(pairs))
    matches, parts = hungarian_matches(overlaps), _parts(overlaps)
    return PanopticScore(
        objects=[
            TubeScore(
                object_id=object_id,
                name=truth.names[object_id],
                match=matches[object_id],
                matched=bool(pairs[row].any()),
                parts=int(parts[row]),
            )
            for row, object_id in enumerate(overlaps.objects.tolist())
        ],
        sq=float(ious[pairs].mean()) if tp else 0.0,
        tp=tp,
        fp=int(np.count_nonzero(~ignored & ~pairs.any(axis=0))),
        fn=overlaps.objects.size - tp,
        ignored=int(np.count_nonzero(ignored)),
        under_segmented=_joining_labels(overlaps),
    )


def _tubes(
    truth: Truth, predicted: LabelMaps
) -> tuple[Integer[np.ndarray, " n"], Integer[np.ndarray, " n"]]:
    """The predicted and the true label of every pixel of all test views."""
    if not truth.maps:
        raise SplatsegError("no test view has ground truth in gt_instances/: nothing to score")
    labels = np.concatenate([predicted[frame].ravel() for frame in truth.maps])
    return labels, np.concatenate([m.ravel() for m in truth.maps.values()])


def _parts(overlaps: Overlaps) -> Integer[np.ndarray, " o"]:
    """How many labels each object is cut into."""
    mostly_inside = 2 * overlaps.shared > overlaps.label_sizes
    large = _held(overlaps) >= PART_FRACTION
    return np.count_nonzero(mostly_inside & large, axis=1)


def _joining_labels(overlaps: Overlaps) -> int:
    """How many labels hold at least half of each of two objects."""
    joined = _held(overlaps) >= JOINED_FRACTION
    return int(np.count_nonzero(np.count_nonzero(joined, axis=0) >= 2))


def _held(overlaps: Overlaps) -> Float[np.ndarray, "o l"]:
    """The fraction of each object's pixels that each label holds."""
    # Divided, for 0.1 times 70 is more than 7.
    return overlaps.shared / overlaps.object_sizes[:, None]
