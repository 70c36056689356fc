"""Removing a ball from the true scene together with its floaters."""

import dataclasses

import torch

from splatseg.editing.removal import silhouette_fractions, without
from splatseg.geometry.gaussians import Gaussians, concatenate


def with_floaters(true_scene, points: torch.Tensor) -> tuple[Gaussians, torch.Tensor]:
    """The scene and its labels, and Gaussians at `points` that belong to nothing."""
    gaussians, labels = true_scene
    more = gaussians.select(torch.zeros(len(points), dtype=torch.long))
    more = dataclasses.replace(more, means=points)
    return concatenate([gaussians, more]), torch.cat([labels, labels.new_full((len(points),), -1)])


def test_floaters_inside_a_ball_are_removed_with_it(true_scene, views, balls):
    (center, radius), random = balls[1], torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(12, 3, generator=random), dim=1)
    scene, labels = with_floaters(true_scene, torch.tensor(center) + 0.5 * radius * directions)
    remaining = without(scene, views, (labels == 1).float())
    assert not bool(remaining[(labels == 1) | (labels == -1)].any())
    assert bool(remaining[(labels == 2) | (labels == 3)].all())
    assert remaining[labels == 0].float().mean() > 0.95  # but for a spot under the ball


def test_the_background_remains_even_if_all_cameras_are_on_one_side(true_scene, views, balls):
    center, camera = torch.tensor(balls[1][0]), views[0].camera.position.float()
    behind = center + 2 * balls[1][1] * torch.nn.functional.normalize(center - camera, dim=0)
    scene, labels = with_floaters(true_scene, behind[None])
    assert silhouette_fractions(behind[None], scene.select(labels == 1), views[:1]).item() == 1
    assert bool(without(scene, views[:1], (labels == 1).float())[-1])


def test_the_order_of_gaussians_and_views_does_not_matter(true_scene, views):
    gaussians, labels = true_scene
    order = torch.randperm(len(gaussians), generator=torch.Generator().manual_seed(0))
    remaining = without(gaussians, views, (labels == 2).float())
    shuffled = without(gaussians.select(order), views[::-1], (labels[order] == 2).float())
    assert torch.equal(shuffled, remaining[order])


def test_nothing_selected_removes_nothing(true_scene, views):
    gaussians, labels = true_scene
    assert bool(without(gaussians, views, torch.zeros(len(labels))).all())
    points = torch.tensor([[0.0, 0.0, 1e3]])
    assert silhouette_fractions(points, gaussians, views).tolist() == [0]
