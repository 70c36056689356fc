"""`click3d/1`: which Gaussians each click of `click` selects, against the truth in 3D.

Fig. 4 of arXiv:2404.12784 as a number: a good selection is the object, whole, and has no outliers
far from it. The truth is lifted onto the scene's Gaussians (see lifted_truth.py); a Gaussian that
no view with truth sees counts in nothing. Gaussians count by their footprint, for a scene may
describe the same surface by many small or few large ones: a Gaussian weighs its opacity times pi
times the product of its two largest scales.

`miou`: weight that selection and object share over the weight of either. `outside`: the fraction of
the selected weight whose center lies outside the object's box, the smallest one along the world's
axes that holds its points in `points_gt.npz` (outliers left out), grown by `BOX_MARGIN` on each
side; null, and left out of the mean, where the file has no point of the object. A click that
selects nothing scores 0 in both. Means are over objects.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_masks import click_queries
from splatseg.evaluation.clicks import Click
from splatseg.evaluation.lifted_truth import UNSEEN, lift_labels
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.protocols.click import deepest_clicks
from splatseg.evaluation.truth import Box, load_boxes, load_truth
from splatseg.evaluation.views import photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene
from splatseg.segmentation import Picker
from splatseg.segmentation.selection import SELECTED

BOX_MARGIN = 0.02  # world units, which are meters in captures with `points_gt.npz`

Select = Callable[[Click], Bool[Tensor, " n"]]
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

    click: Click
    name: str
    """The object's."""
    iou: float
    outside: float | None
    """None where the object's box is not known."""


def score_selections(
    clicks: Sequence[Click], truth: LiftedTruth, select: Select
) -> list[SelectionScore]:
    """Compare what each click selects with its object's Gaussians.

    Raises:
        SplatsegError: there are no clicks.
    """
    if not clicks:
        raise SplatsegError("no training view shows an object in gt_instances/: nothing to score")
    return [_score_selection(click, truth, select(click)) for click in clicks]


def _score_selection(
    click: Click, truth: LiftedTruth, selected: Bool[Tensor, " n"]
) -> SelectionScore:
    selected = selected & (truth.labels != UNSEEN)
    is_object = truth.labels == click.object_id
    shared = float(truth.footprints[selected & is_object].sum())
    either = float(truth.footprints[selected | is_object].sum())
    box = truth.boxes.get(click.object_id)
    return SelectionScore(
        click=click,
        name=truth.names[click.object_id],
        iou=shared / either if either else 0.0,
        outside=None if box is None else _fraction_outside(truth, selected, box),
    )


def _fraction_outside(truth: LiftedTruth, selected: Bool[Tensor, " n"], box: Box) -> float:
    """The fraction of the selected weight with its center outside the grown box; 0 of nothing."""
    low, high = torch.from_numpy(box.astype(np.float64))
    means, weights = truth.means[selected].double(), truth.footprints[selected]
    inside = ((means >= low - BOX_MARGIN) & (means <= high + BOX_MARGIN)).all(dim=1)
    total = float(weights.sum())
    return float(weights[~inside].sum()) / total if total else 0.0


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    sizes = photo_sizes(scene.train)
    truth = load_truth(capture.root, sizes)
    lifted = LiftedTruth(
        means=scene.gaussians.means.cpu(),
        footprints=scene.gaussians.footprints.cpu(),
        labels=lift_labels(scene.gaussians, scene.train, truth, progress).cpu(),
        names=truth.names,
        boxes=load_boxes(capture.root),
    )
    clicks = deepest_clicks(truth, sizes)
    selections = _selections(scene, clicks, options, progress)
    nothing = torch.zeros(len(scene.gaussians), dtype=torch.bool)
    scores = score_selections(clicks, lifted, lambda click: selections.get(click, nothing))
    return Evaluation(selections_report(scores) | {"query_radius": options.query_radius})


def _selections(
    scene: Scene, clicks: Sequence[Click], options: EvaluationOptions, progress: Progress
) -> dict[Click, Bool[Tensor, " n"]]:
    """The Gaussians that each click selects, but for those that hit nothing."""
    picker = Picker(scene, progress)
    found = {click: click_queries(picker, click, options.query_radius) for click in clicks}
    asked = {click: queries for click, queries in found.items() if queries is not None}
    if not asked:
        return {}
    if options.select_by_own_features:
        return {c: picker.select_by_own_features(queries).cpu() for c, queries in asked.items()}
    weights = picker.exact_weights(list(asked.values())).cpu()
    return dict(zip(asked, (weights >= SELECTED).unbind(dim=1), strict=True))


def selections_report(scores: Sequence[SelectionScore]) -> dict[str, Any]:
    """`miou`, of Gaussians by their footprint, and `outside`."""
    return {
        "miou": fmean(score.iou for score in scores),
        "outside": _mean_of_known(score.outside for score in scores),
        "objects": [
            {
                "id": score.click.object_id,
                "name": score.name,
                "miou": score.iou,
                "outside": score.outside,
                "frame": score.click.frame,
                "x": score.click.x,
                "y": score.click.y,
            }
            for score in scores
        ],
    }


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


PROTOCOL = Protocol(
    name="click3d",
    version=1,
    needs=frozenset({"instances", "features"}),
    headlines=("miou", "outside"),
    measure=_measure,
)
