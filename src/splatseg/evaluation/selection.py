"""Which Gaussians a click selects, against the truth in 3D: the scores of `click3d`.

Fig. 4 of arXiv:2404.12784 as a number: a good selection is the object, whole, and has no outliers
far from it. Gaussians count by their footprint, for a scene may describe the same surface by many
small or few large ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.evaluation.clicks import Query
from splatseg.evaluation.truth import Box

UNSEEN = -1  # the label of a Gaussian that no view with truth sees
BOX_MARGIN = 0.02  # world units, which are meters in captures with `points_gt.npz`

Select = Callable[[Query], Bool[Tensor, " n"]]
"""A click to the Gaussians that it selects; none where there is no answer."""


@dataclass(frozen=True, eq=False)
class LiftedTruth:
    """The scene's Gaussians with the object that each belongs to."""

    means: Float[Tensor, "n 3"]
    footprints: Float[Tensor, " n"]
    labels: Int[Tensor, " n"]
    """Object id, 0 for the background, UNSEEN."""
    names: Mapping[int, str]
    boxes: Mapping[int, Box]
    """Where the objects are, of those of which it is known."""


@dataclass(frozen=True)
class SelectionScore:
    """One click's Gaussians; fractions in [0, 1]."""

    query: Query
    name: str
    """The object's."""
    iou: float
    outside: float | None
    """None where the object's box is not known."""


def voted_labels(votes: Float[Tensor, "n c"], ids: Int[Tensor, " c"]) -> Int[Tensor, " n"]:
    """The id with most votes, the first of equals; UNSEEN where there are none."""
    return torch.where(votes.amax(dim=1) > 0, ids[votes.argmax(dim=1)], UNSEEN)


def score_selections(
    queries: Sequence[Query], truth: LiftedTruth, select: Select
) -> list[SelectionScore]:
    """Ask every query, and compare what it selects with its object's Gaussians."""
    if not queries:
        raise SplatsegError("no training view shows an object in gt_instances/: nothing to score")
    return [_score_selection(query, truth, select(query)) for query in queries]


def _score_selection(
    query: Query, truth: LiftedTruth, selected: Bool[Tensor, " n"]
) -> SelectionScore:
    selected = selected & (truth.labels != UNSEEN)
    is_object = truth.labels == query.object_id
    shared = float(truth.footprints[selected & is_object].sum())
    either = float(truth.footprints[selected | is_object].sum())
    box = truth.boxes.get(query.object_id)
    return SelectionScore(
        query=query,
        name=truth.names[query.object_id],
        iou=shared / either if either else 0.0,
        outside=None if box is None else _share_outside(truth, selected, box),
    )


def _share_outside(truth: LiftedTruth, selected: Bool[Tensor, " n"], box: Box) -> float:
    """The share of the selected weight with its center outside the grown box; 0 of nothing."""
    low, high = torch.from_numpy(box.astype(np.float64))
    means, weights = truth.means[selected].double(), truth.footprints[selected]
    inside = ((means >= low - BOX_MARGIN) & (means <= high + BOX_MARGIN)).all(dim=1)
    total = float(weights.sum())
    return float(weights[~inside].sum()) / total if total else 0.0
