"""Image, mask and label metrics as pure functions.

Scores are fractions in [0, 1], PSNR is in dB. Labels are whole numbers, 0 for none.
"""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from scipy import ndimage, optimize
from torch import Tensor

BOUNDARY_FRACTION = 0.02  # of the image diagonal: Boundary IoU's default width
THIN_BOUNDARY = 2  # pixels: narrow enough to see an edge where `mbiou` sees the whole object


def psnr(image: Float[Tensor, "h w 3"], reference: Float[Tensor, "h w 3"]) -> float:
    """Peak signal-to-noise ratio of colors in [0, 1]; infinite for equal images."""
    error = torch.mean((image.double() - reference.double()) ** 2).item()
    return -10 * math.log10(error) if error > 0 else math.inf


def iou(predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union; 1 if both masks are empty, since they agree."""
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def boundary_width(height: int, width: int) -> int:
    """Boundary IoU's default width in pixels: 2 % of the image diagonal, rounded, at least 1."""
    return max(1, round(BOUNDARY_FRACTION * math.hypot(height, width)))


def boundary(mask: Bool[np.ndarray, "h w"], d_pixels: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of `mask` that `d_pixels` erosions by a 3x3 square take away.

    Beyond the image there is no mask, so the boundary runs along the image border too.
    """
    # That many 3x3 erosions are one by a square of side 2 d + 1, which is separable.
    side = 2 * d_pixels + 1
    eroded = ndimage.minimum_filter(mask.view(np.uint8), size=side, mode="constant", cval=0)
    return mask & (eroded == 0)


def boundary_iou(
    predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], d_pixels: int
) -> float:
    """IoU of the two masks' boundaries (Boundary IoU, arXiv:2103.16562); 1 if both are empty."""
    window = _window(predicted | truth)
    return iou(boundary(predicted[window], d_pixels), boundary(truth[window], d_pixels))


@dataclass(frozen=True)
class MaskScores:
    """How well masks agree with the truth; fractions in [0, 1]."""

    miou: float
    mbiou: float
    biou2: float


MASK_FIGURES = tuple(field.name for field in fields(MaskScores))


def score_mask(predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> MaskScores:
    """IoU, Boundary IoU at the default width, and at `THIN_BOUNDARY`."""
    return MaskScores(
        miou=iou(predicted, truth),
        mbiou=boundary_iou(predicted, truth, boundary_width(*truth.shape)),
        biou2=boundary_iou(predicted, truth, THIN_BOUNDARY),
    )


def mean_scores(scores: Iterable[MaskScores]) -> MaskScores:
    """Each figure's mean."""
    return MaskScores(*np.mean([astuple(s) for s in scores], axis=0).tolist())


@dataclass(frozen=True)
class Overlaps:
    """How many pixels each true label, an object, shares with each predicted one."""

    objects: Integer[np.ndarray, " o"]
    labels: Integer[np.ndarray, " l"]
    shared: Integer[np.ndarray, "o l"]
    object_sizes: Integer[np.ndarray, " o"]
    """All pixels, those without a label too."""
    label_sizes: Integer[np.ndarray, " l"]

    @property
    def ious(self) -> Float[np.ndarray, "o l"]:
        """IoU of each pair."""
        return self.shared / (self.object_sizes[:, None] + self.label_sizes - self.shared)


def label_overlaps(
    predicted: Integer[np.ndarray, " n"], truth: Integer[np.ndarray, " n"]
) -> Overlaps:
    """Both hold one label a pixel. Labels in increasing order, those with no pixel left out."""
    labels, p = np.unique(predicted, return_inverse=True)
    objects, t = np.unique(truth, return_inverse=True)
    shape = (objects.size, labels.size)
    shared = np.bincount(t * shape[1] + p, minlength=shape[0] * shape[1]).reshape(shape)
    is_object, is_label = objects != 0, labels != 0
    return Overlaps(
        objects=objects[is_object],
        labels=labels[is_label],
        shared=shared[is_object][:, is_label],
        object_sizes=shared.sum(axis=1)[is_object],
        label_sizes=shared.sum(axis=0)[is_label],
    )


@dataclass(frozen=True)
class Match:
    """The predicted label that stands for a true one; None, with an IoU of 0, if none is left."""

    label: int | None
    iou: float


def hungarian_iou(
    predicted: Integer[np.ndarray, " n"], truth: Integer[np.ndarray, " n"]
) -> dict[int, Match]:
    """True label to its match, in the one-to-one assignment of labels with the largest IoU sum.

    Concatenate the views of a scene: an IoU is then one of whole tubes through all views, and a
    label must mean the same object in each.
    """
    return hungarian_matches(label_overlaps(predicted, truth))


def hungarian_matches(overlaps: Overlaps) -> dict[int, Match]:
    """`hungarian_iou` from overlaps."""
    ious = overlaps.ious
    matches = {int(label): Match(None, 0.0) for label in overlaps.objects}
    for row, column in zip(*optimize.linear_sum_assignment(ious, maximize=True), strict=True):
        if ious[row, column] > 0:
            label = int(overlaps.labels[column])
            matches[int(overlaps.objects[row])] = Match(label, float(ious[row, column]))
    return matches


def _window(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The smallest rectangle that holds the mask; empty for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
