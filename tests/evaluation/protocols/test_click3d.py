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

BOX = {1: np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])}


@pytest.mark.parametrize(
    ("selected", "object_id", "top", "boxes", "iou", "outside"),
    [
        ("xx..", 1, 0.5, BOX, 1, 0),
        ("x.x.", 1, 0.5, BOX, 1 / 6, 3 / 4),
        ("..x.", 1, 0.5, BOX, 0, 1),
        ("....", 1, 0.5, BOX, 0, 0),
        ("xxxx", 1, 0.5, BOX, 3 / 6, 3 / 6),  # the fourth is seen by no view: no weight
        ("...x", 1, 0.5, BOX, 0, 0),
        ("x...", 2, 0.5, BOX, 0, None),  # an object without Gaussians or box
        ("....", 2, 0.5, BOX, 0, None),
        ("xx..", 1, 0.5, {}, 1, None),
        ("x...", 1, 1 + 0.9 * BOX_MARGIN, BOX, 1 / 3, 0),
        ("x...", 1, 1 + 1.1 * BOX_MARGIN, BOX, 1 / 3, 1),
    ],
)
def test_weights_by_hand(selected, object_id, top, boxes, iou, outside):
    """Four Gaussians that weigh 1, 2, 3, 4, the third outside the box of object 1."""
    truth = LiftedTruth(
        means=torch.tensor([[0.5, 0.5, top], [0.0, 1.0, 0.0], [0.5, 0.5, 1.5], [9.0, 9.0, 9.0]]),
        footprints=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64),
        labels=torch.tensor([1, 1, 0, UNSEEN]),
        names={1: "cup", 2: "can"},
        boxes=boxes,
    )
    click, marked = Click(object_id, "train", 0.5, 0.5), torch.tensor([c == "x" for c in selected])
    [score] = score_selections([click], truth, lambda _: marked)
    assert (score.click, score.name) == (click, truth.names[object_id])
    assert score.iou == pytest.approx(iou) and score.outside == pytest.approx(outside)
    with pytest.raises(SplatsegError, match="no training view shows an object"):
        score_selections([], truth, lambda _: marked)


def test_the_mean_leaves_unknown_boxes_out():
    rows = [(1, "cup", 1.0, 0.25), (2, "can", 0.5, None), (3, "mug", 0.0, 0.75)]
    scores = [SelectionScore(Click(k, "train", 1.5, 2.5), *row) for k, *row in rows]
    report = selections_report(scores)
    assert (report["miou"], report["outside"]) == (0.5, 0.5)
    assert selections_report(scores[1:2])["outside"] is None


def test_a_footprint_is_the_broad_side():
    scales = torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.001]])
    opacities, quats = torch.tensor([0.5, 0.5, 0.25]), torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 3)
    rest = (torch.zeros(3, 1, 3), torch.zeros(3, 0))
    gaussians = Gaussians(torch.zeros(3, 3), quats, scales.log(), opacities.logit(), *rest)
    expected = [0.5 * 6 * math.pi, 0.5 * 6 * math.pi, 0.25 * 4 * math.pi]
    assert gaussians.footprints.tolist() == pytest.approx(expected, rel=1e-6)
