"""Two instances that touch, seen obliquely, with analytic depth: the part/whole score."""

import dataclasses

import numpy as np
import pytest
import torch

from splatseg.capture import load_capture
from splatseg.geometry.camera import Camera
from splatseg.lifting.boundary_concavity import (
    MIN_BOUNDARY,
    boundary_counts,
    part_whole_scores,
    surface_of,
)
from splatseg.lifting.hierarchy import MIN_WHOLE_SCORE

WIDTH, HEIGHT, FOCAL = 160, 120, 200.0
DISTANCE = 2.0


@pytest.fixture
def camera() -> Camera:
    pose = torch.eye(4, dtype=torch.float64)
    return Camera(pose, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)


def depth_of(*planes: tuple[np.ndarray, float]) -> np.ndarray:
    """The nearest of planes n·x = d at each pixel; a plane is (normal, d)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x, y = (columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL
    depths = [d / (n[0] * x + n[1] * y + n[2]) for n, d in planes]
    return np.min([np.where(depth > 0, depth, np.inf) for depth in depths], axis=0)


def tilted(down: float, across: float = 0.0) -> tuple[np.ndarray, float]:
    """A plane through the middle of the view, tilted by so many radians."""
    normal = np.array([np.sin(across), np.sin(down), np.cos(down) * np.cos(across)])
    return normal / np.linalg.norm(normal), DISTANCE * normal[2] / np.linalg.norm(normal)


def rectangle(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(("down", "across"), [(0.0, 0.0), (0.7, 0.0), (0.3, -0.5)])
def test_a_planes_normal_faces_the_camera(camera: Camera, down: float, across: float) -> None:
    normal, d = tilted(down, across)
    surface = surface_of(depth_of((normal, d)), camera)
    inner = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(
        surface.normals[inner], np.broadcast_to(-normal, (108, 148, 3)), atol=2e-3
    )
    np.testing.assert_allclose(surface.points[inner] @ normal, d, rtol=1e-6)


WHOLE, PART = rectangle(20, 20, 100, 140), rectangle(40, 50, 70, 90)
LOWER = rectangle(60, 20, 100, 140)
VALLEY = depth_of(tilted(0.8), tilted(-0.8))  # the nearer of both: the edge points away


@pytest.mark.parametrize(
    ("depth", "whole", "part", "jumps", "creases"),
    [
        *((depth_of(tilted(down)), WHOLE, PART, 0, 0) for down in (0.0, 0.6, 1.0)),  # one plane
        (np.where(PART, DISTANCE - 0.5, DISTANCE), WHOLE, PART, 1, None),  # stands before it
        (VALLEY, WHOLE, LOWER, 0, 1),  # a wall on a floor
        (2 * DISTANCE - VALLEY, WHOLE, LOWER, 0, 0),  # mirrored in depth: a roof's ridge
        (depth_of(tilted(0.5)), rectangle(0, 0, HEIGHT, WIDTH), rectangle(0, 0, 40, 40), 0, None),
    ],
)
def test_jumps_and_inner_creases_part(camera, depth, whole, part, jumps, creases) -> None:
    surface = surface_of(depth, camera)
    length, *counts = boundary_counts(surface, whole, part, FOCAL)
    assert length >= MIN_BOUNDARY
    assert counts[0] == jumps * length and creases in (None, counts[1] / length)
    for small in (rectangle(45, 55, 49, 59), rectangle(5, 5, 5, 5)):  # are not counted
        assert not boundary_counts(surface, whole, small, FOCAL).any()


def test_a_ball_on_the_ground_is_parted_from_it_and_its_cap_is_not(synthetic, true_scene) -> None:
    gaussians, truth = true_scene
    ball, ground = (truth == 1).numpy(), (truth == 0).numpy()
    cap = ball & (gaussians.means[:, 2] > 0.4).numpy()
    instances = np.stack([ball | ground, ball, cap, ball & ground], axis=1)
    # The photos are tiny: four pixels across an outline are a third of a ball.
    fine = [
        dataclasses.replace(f, camera=f.camera.resized(4 * f.camera.width, 4 * f.camera.height))
        for f in load_capture(synthetic.root).train
    ]
    pairs = [(0, 1), (1, 2), (3, 1)]
    whole_ball, whole_cap, unrelated = part_whole_scores(gaussians, fine, instances, pairs)
    assert whole_cap < MIN_WHOLE_SCORE < whole_ball
    assert unrelated == 1
