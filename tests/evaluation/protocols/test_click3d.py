"""Selected Gaussians against lifted truth, by hand."""

import math

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation import Click
from splatseg.evaluation.lifted_truth import UNSEEN
from splatseg.evaluation.protocols.click3d import (
    BOX_MARGIN,
    LiftedTruth,
    SelectionScore,
    score_selections,
    selections_report,
)
from splatseg.geometry import Gaussians

BOX = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def four(boxes: dict | None = None, top: float = 0.5) -> LiftedTruth:
    """Four Gaussians that weigh 1, 2, 3, 4, the third outside the box of object 1."""
    return LiftedTruth(
        means=torch.tensor([[0.5, 0.5, top], [0.0, 1.0, 0.0], [0.5, 0.5, 1.5], [9.0, 9.0, 9.0]]),
        footprints=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64),
        labels=torch.tensor([1, 1, 0, UNSEEN]),
        names={1: "cup", 2: "can"},
        boxes={1: BOX} if boxes is None else boxes,
    )


def scored(truth: LiftedTruth, selected: str, object_id: int = 1) -> tuple[float, float | None]:
    """IoU and the fraction outside of the Gaussians marked x."""
    click = Click(object_id, "train", 0.5, 0.5)
    [score] = score_selections([click], truth, lambda _: torch.tensor([c == "x" for c in selected]))
    assert (score.click, score.name) == (click, truth.names[object_id])
    return score.iou, score.outside


@pytest.mark.parametrize(
    ("selected", "iou", "outside"),
    [
        ("xx..", 1, 0),
        ("x.x.", 1 / 6, 3 / 4),
        ("..x.", 0, 1),
        ("....", 0, 0),
        ("xxxx", 3 / 6, 3 / 6),  # the fourth is seen by no view: no weight
        ("...x", 0, 0),
    ],
)
def test_weights_by_hand(selected, iou, outside):
    assert scored(four(), selected) == pytest.approx((iou, outside))


def test_an_object_without_gaussians_or_box():
    assert scored(four(), "x...", object_id=2) == (0, None)
    assert scored(four(), "....", object_id=2) == (0, None)
    assert scored(four(boxes={}), "xx..") == (1, None)


@pytest.mark.parametrize(("beyond", "outside"), [(0.9, 0), (1.1, 1)])
def test_the_box_has_a_margin(beyond, outside):
    assert scored(four(top=1 + beyond * BOX_MARGIN), "x...")[1] == outside


def test_a_footprint_is_the_broad_side():
    scales = torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.001]])
    gaussians = Gaussians(
        means=torch.zeros(3, 3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(3, 1),
        log_scales=scales.log(),
        logit_opacities=torch.tensor([0.5, 0.5, 0.25]).logit(),
        sh=torch.zeros(3, 1, 3),
        features=torch.zeros(3, 0),
    )
    expected = [0.5 * 6 * math.pi, 0.5 * 6 * math.pi, 0.25 * 4 * math.pi]
    assert gaussians.footprints.tolist() == pytest.approx(expected, rel=1e-6)


def test_no_clicks_are_refused():
    with pytest.raises(SplatsegError, match="no training view shows an object"):
        score_selections([], four(), lambda _: torch.zeros(4, dtype=torch.bool))


def test_the_mean_leaves_unknown_boxes_out():
    scores = [
        SelectionScore(Click(1, "train", 1.5, 2.5), "cup", 1.0, 0.25),
        SelectionScore(Click(2, "train", 1.5, 2.5), "can", 0.5, None),
        SelectionScore(Click(3, "train", 1.5, 2.5), "mug", 0.0, 0.75),
    ]
    report = selections_report(scores)
    assert (report["miou"], report["outside"]) == (0.5, 0.5)
    assert selections_report(scores[1:2])["outside"] is None
