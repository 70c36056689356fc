"""Votes of the truth for Gaussians whose views are known."""

import math

import numpy as np
import pytest
import torch

from splatseg.capture import Frame, Lens
from splatseg.evaluation import Truth
from splatseg.evaluation.lifted_truth import UNSEEN, lift_labels, voted_labels
from splatseg.geometry import Camera, Gaussians

CAMERA = Camera(torch.eye(4, dtype=torch.float64), 20.0, 20.0, 20.0, 10.0, 40, 20)
PINHOLE = Lens("PINHOLE", 40, 20, (20.0, 20.0, 20.0, 10.0))


def gaussians_at(*means: list[float], scale: float) -> Gaussians:
    """Round, nearly opaque Gaussians."""
    n, log_scale = len(means), math.log(scale)
    shape = (torch.tensor([[1.0, 0.0, 0.0, 0.0]] * n), torch.full((n, 3), log_scale))
    looks = (torch.full((n,), 5.0), torch.zeros(n, 1, 3), torch.zeros(n, 0))
    return Gaussians(torch.tensor(means), *shape, *looks)


def test_most_votes_win():
    votes = torch.tensor([[1.0, 2.0, 0.5], [3.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.1]])
    assert voted_labels(votes, torch.tensor([0, 4, 7])).tolist() == [4, 0, UNSEEN, 7]


LEFT = np.zeros((20, 40), dtype=np.uint8)
LEFT[:, :20] = 17  # of so many ids that they are backprojected in two passes


@pytest.mark.parametrize(
    ("maps", "labels"),
    [
        ({"a": LEFT}, [17, 0, UNSEEN]),
        ({"a": LEFT[::2, ::2]}, [17, 0, UNSEEN]),
        ({}, [UNSEEN] * 3),
    ],
)
def test_views_with_truth_vote_by_what_they_see(maps, labels):
    """Two Gaussians side by side, one behind the camera."""
    frames = [Frame(name, f"images/{name}.png", CAMERA, PINHOLE, is_test=False) for name in "ab"]
    gaussians = gaussians_at([-2.0, 0.0, 5.0], [2.0, 0.0, 5.0], [0.0, 0.0, -5.0], scale=0.3)
    truth = Truth({i: f"object {i}" for i in range(1, 20)}, maps)
    assert lift_labels(gaussians, frames, truth).tolist() == labels


def test_what_a_photo_does_not_reach_does_not_vote():
    """The lens magnifies: the undistorted image reaches beyond the photo."""
    lens = Lens("SIMPLE_RADIAL", 40, 20, (20.0, 20.0, 10.0, 0.2))
    frame = Frame("a", "images/a.png", CAMERA, lens, is_test=False)
    gaussians = gaussians_at([0.0, 0.0, 5.0], [4.7, 0.0, 5.0], scale=0.05)
    truth = Truth({1: "cup"}, {"a": np.ones((20, 40), dtype=np.uint8)})
    assert lift_labels(gaussians, [frame], truth).tolist() == [1, UNSEEN]
