"""Bodies of balls of Gaussians, placed by hand."""

import math

import numpy as np
import torch

from splatseg.geometry.gaussians import Gaussians
from splatseg.segmentation.connected_components import FLOATER, MIN_GAUSSIANS, split_components

RADIUS = 1.0
COUNT = 400  # Gaussians of a ball


def ball(center: tuple[float, float, float], count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Points spread evenly over a sphere."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), math.pi * (1 + 5**0.5) * k + seed
    around = [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    return np.array(center) + RADIUS * np.stack(around, axis=1)


def gaussians_at(points: np.ndarray, scale: float = 0.02) -> Gaussians:
    count = len(points)
    return Gaussians(
        means=torch.from_numpy(points).float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(scale)),
        logit_opacities=torch.full((count,), 3.0),
        sh=torch.zeros(count, 1, 3),
        features=torch.zeros(count, 4),
    )


def bodies(*parts: np.ndarray, labels: list[int]) -> list[torch.Tensor]:
    """What becomes of the labels of each part."""
    of_parts = [torch.full((len(part),), label) for part, label in zip(parts, labels, strict=True)]
    found = split_components(torch.cat(of_parts), gaussians_at(np.concatenate(parts)))
    return list(found.split([len(part) for part in parts]))


def only(labels: torch.Tensor) -> int:
    (value,) = torch.unique(labels).tolist()
    return value


def test_twins_that_do_not_touch_are_two() -> None:
    one, two, other = bodies(ball((0, 0, 0)), ball((3, 0, 0)), ball((6, 0, 0)), labels=[1, 1, 2])
    assert {only(one), only(two)} == {1, 3}
    assert only(other) == 2


def test_a_body_in_one_piece_stays_one() -> None:
    halves = ball((0, 0, 0)), ball((2.05, 0, 0))  # they touch
    assert [only(part) for part in bodies(*halves, labels=[1, 1])] == [1, 1]


def test_the_labels_of_things_that_touch_stay() -> None:
    in_a_row = [ball((2.05 * k, 0, 0)) for k in range(3)]
    assert [only(part) for part in bodies(*in_a_row, labels=[1, 2, 1])] == [1, 2, 3]


def test_what_is_left_over_floats_unless_it_is_near() -> None:
    far, near = np.array([[5.0, 0, 0]]), np.array([[1.25, 0, 0]])
    thing, away, close = bodies(ball((0, 0, 0)), far, near, labels=[1, 1, 1])
    assert (only(thing), only(away), only(close)) == (1, FLOATER, 1)


def test_what_nothing_is_linked_to_floats_whatever_its_label() -> None:
    speck = ball((9, 0, 0), count=MIN_GAUSSIANS - 1) * [1, 0.02, 0.02]
    other = speck + np.array([0, 9, 0])
    _, nothing, thing = bodies(ball((0, 0, 0)), speck, other, labels=[0, 0, 2])
    assert (only(nothing), only(thing)) == (FLOATER, FLOATER)


def test_no_label_is_no_thing_to_cut() -> None:
    one, two = bodies(ball((0, 0, 0)), ball((9, 0, 0)), labels=[0, 0])
    assert (only(one), only(two)) == (0, 0)


def test_it_does_not_depend_on_the_order_of_gaussians() -> None:
    points = np.concatenate([ball((0, 0, 0)), ball((3, 0, 0)), ball((9, 0, 0), count=20)])
    labels = torch.ones(len(points), dtype=torch.long)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))

    found = split_components(labels, gaussians_at(points))
    shuffled = split_components(labels, gaussians_at(points[order.numpy()]))

    same, same_shuffled = (x[:, None] == x for x in (found[order], shuffled))
    assert torch.equal(same, same_shuffled)


def test_few_gaussians_stay_as_they_are() -> None:
    labels = torch.tensor([1, 1, 0])
    assert torch.equal(split_components(labels, gaussians_at(np.eye(3) * 100)), labels)
