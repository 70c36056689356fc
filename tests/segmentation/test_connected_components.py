"""Bodies of balls of Gaussians, placed by hand."""

import math

import numpy as np
import pytest
import torch
from builders.plain_gaussians import plain_gaussians

from splatseg.segmentation.connected_components import FLOATER, MIN_GAUSSIANS, split_components

RADIUS = 1.0
COUNT = 400  # Gaussians of a ball


def ball(center: tuple[float, float, float], count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Points spread evenly over a sphere."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), math.pi * (1 + 5**0.5) * k + seed
    around = [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    return np.array(center) + RADIUS * np.stack(around, axis=1)


def split(labels: torch.Tensor, points: np.ndarray) -> torch.Tensor:
    opacities = torch.full((len(points),), 0.95)
    where = torch.from_numpy(points)
    return split_components(labels, plain_gaussians(where, opacities=opacities, scale=0.02))


FAR = np.array([[5.0, 0, 0]])
SPECK = ball((9, 0, 0), count=MIN_GAUSSIANS - 1) * [1, 0.02, 0.02]
TWINS = ball((0, 0, 0)), ball((3, 0, 0))
ROW = [ball((2.05 * k, 0, 0)) for k in range(3)]  # they touch


@pytest.mark.parametrize(
    ("parts", "labels", "expected"),
    [
        ([*TWINS, ball((6, 0, 0))], [1, 1, 2], ([1, 3, 2], [3, 1, 2])),  # not touching: two
        (ROW[:2], [1, 1], ([1, 1],)),
        (ROW, [1, 2, 1], ([1, 2, 3],)),  # the labels of things that touch stay
        ([TWINS[0], FAR, FAR / 4], [1, 1, 1], ([1, FLOATER, 1],)),  # left over
        ([TWINS[0], SPECK, SPECK + 2 * FAR], [0, 0, 2], ([0, FLOATER, FLOATER],)),
        (TWINS, [0, 0], ([0, 0],)),  # no label, no thing to cut
        (np.eye(3)[:, None] * 100, [1, 1, 0], ([1, 1, 0],)),  # few Gaussians stay as they are
    ],
)
def test_bodies_get_labels_of_their_own(parts, labels: list[int], expected) -> None:
    sizes = [len(part) for part in parts]
    given = torch.tensor(labels).repeat_interleave(torch.tensor(sizes))
    found = split(given, np.concatenate(parts)).split(sizes)
    assert [part.unique().tolist() for part in found] in [[[k] for k in e] for e in expected]


def test_it_does_not_depend_on_the_order_of_gaussians() -> None:
    points = np.concatenate([*TWINS, ball((9, 0, 0), count=20)])
    labels = torch.ones(len(points), dtype=torch.long)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    found, shuffled = split(labels, points), split(labels, points[order.numpy()])
    same, same_shuffled = (x[:, None] == x for x in (found[order], shuffled))
    assert torch.equal(same, same_shuffled)
