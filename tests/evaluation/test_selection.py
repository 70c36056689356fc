"""Selected Gaussians against lifted truth, by hand."""

import math

import numpy as np
import pytest
import torch
from splatseg.evaluation.run_clicks import lift_labels
from splatseg.evaluation.selection import BOX_MARGIN, UNSEEN, voted_labels

from splatseg.capture import Frame, Lens
from splatseg.errors import SplatsegError
from splatseg.evaluation import LiftedTruth, Query, Truth, score_selections
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians

BOX = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def gaussians_at(means: list[list[float]], scale: float = 0.1) -> Gaussians:
    """Round, nearly opaque Gaussians."""
    count = len(means)
    return Gaussians(
        means=torch.tensor(means),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(scale)),
        logit_opacities=torch.full((count,), 5.0),
        sh=torch.zeros(count, 1, 3),
        features=torch.zeros(count, 0),
    )


def four(
    labels: tuple[int, int, int, int] = (1, 1, 0, UNSEEN), boxes: dict | None = None
) -> LiftedTruth:
    """Four Gaussians that weigh 1, 2, 3, 4, the third outside the box of object 1."""
    return LiftedTruth(
        means=torch.tensor([[0.5, 0.5, 0.5], [0.0, 1.0, 0.0], [0.5, 0.5, 1.5], [9.0, 9.0, 9.0]]),
        footprints=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64),
        labels=torch.tensor(labels),
        names={1: "cup", 2: "can"},
        boxes={1: BOX} if boxes is None else boxes,
    )


def scored(truth: LiftedTruth, *selected: bool, object_id: int = 1) -> tuple[float, float | None]:
    query = Query(object_id, "train", 0.5, 0.5)
    [score] = score_selections([query], truth, lambda _: torch.tensor(selected))
    assert (score.query, score.name) == (query, truth.names[object_id])
    return score.iou, score.outside


@pytest.mark.parametrize(
    ("selected", "iou", "outside"),
    [
        ((True, True, False, False), 1, 0),
        ((True, False, True, False), 1 / 6, 3 / 4),
        ((False, False, True, False), 0, 1),
        ((False, False, False, False), 0, 0),
        ((True, True, True, True), 3 / 6, 3 / 6),  # the fourth is seen by no view: no weight
        ((False, False, False, True), 0, 0),
    ],
)
def test_weights_by_hand(selected, iou, outside):
    assert scored(four(), *selected) == pytest.approx((iou, outside))


def test_an_object_without_gaussians_or_box():
    assert scored(four(), True, False, False, False, object_id=2) == (0, None)
    assert scored(four(), False, False, False, False, object_id=2) == (0, None)
    assert scored(four(boxes={}), True, True, False, False) == (1, None)


@pytest.mark.parametrize(("beyond", "outside"), [(0.9, 0), (1.1, 1)])
def test_the_box_has_a_margin(beyond, outside):
    truth = four()
    truth.means[0, 2] = 1 + beyond * BOX_MARGIN
    assert scored(truth, True, False, False, False)[1] == outside


def test_no_clicks_are_refused():
    with pytest.raises(SplatsegError, match="no training view shows an object"):
        score_selections([], four(), lambda _: torch.zeros(4, dtype=torch.bool))


def test_a_footprint_is_the_broad_side():
    gaussians = gaussians_at([[0.0, 0.0, 0.0]] * 3)
    scales = torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.001]])
    opacities = torch.tensor([0.5, 0.5, 0.25])
    gaussians.log_scales.copy_(scales.log())
    gaussians.logit_opacities.copy_(opacities.logit())
    expected = [0.5 * 6 * math.pi, 0.5 * 6 * math.pi, 0.25 * 4 * math.pi]
    assert gaussians.footprints.tolist() == pytest.approx(expected, rel=1e-6)


def test_most_votes_win():
    votes = torch.tensor([[1.0, 2.0, 0.5], [3.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.1]])
    assert voted_labels(votes, torch.tensor([0, 4, 7])).tolist() == [4, 0, UNSEEN, 7]


def test_views_with_truth_vote_by_what_they_see():
    """Two Gaussians side by side, one hidden behind the first, one behind the camera."""
    camera = Camera(torch.eye(4, dtype=torch.float64), 20.0, 20.0, 20.0, 10.0, 40, 20)
    lens = Lens("PINHOLE", 40, 20, (20.0, 20.0, 20.0, 10.0))
    frames = [Frame(name, f"images/{name}.png", camera, lens, is_test=False) for name in "ab"]
    gaussians = gaussians_at([[-2.0, 0.0, 5.0], [2.0, 0.0, 5.0], [0.0, 0.0, -5.0]], scale=0.3)
    left = np.zeros((20, 40), dtype=np.uint8)
    left[:, :20] = 17  # of so many ids that they are splatted in two passes
    names = {i: f"object {i}" for i in range(1, 20)}
    assert lift_labels(gaussians, frames, Truth(names, {"a": left})).tolist() == [17, 0, UNSEEN]
    half_size = Truth(names, {"a": left[::2, ::2]})
    assert lift_labels(gaussians, frames, half_size).tolist() == [17, 0, UNSEEN]
    assert lift_labels(gaussians, frames, Truth(names, {})).tolist() == [UNSEEN] * 3


def test_what_a_photo_does_not_reach_does_not_vote():
    """The lens magnifies: the working image reaches beyond the photo, where nothing is known."""
    camera = Camera(torch.eye(4, dtype=torch.float64), 20.0, 20.0, 20.0, 10.0, 40, 20)
    lens = Lens("SIMPLE_RADIAL", 40, 20, (20.0, 20.0, 10.0, 0.2))
    frame = Frame("a", "images/a.png", camera, lens, is_test=False)
    gaussians = gaussians_at([[0.0, 0.0, 5.0], [4.7, 0.0, 5.0]], scale=0.05)
    truth = Truth({1: "cup"}, {"a": np.ones((20, 40), dtype=np.uint8)})
    assert lift_labels(gaussians, [frame], truth).tolist() == [1, UNSEEN]
