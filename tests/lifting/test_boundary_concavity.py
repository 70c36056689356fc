"""Two instances that touch, seen obliquely, with analytic depth: the part/whole score."""

import dataclasses

import numpy as np
import pytest
import torch

from splatseg.capture import load_capture
from splatseg.geometry.camera import Camera
from splatseg.lifting.boundary_concavity import (
    MIN_BOUNDARY,
    Surface,
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


def fractions(surface: Surface, whole: np.ndarray, part: np.ndarray) -> tuple[float, float]:
    """Of the pairs across the outline: with a jump, with a crease."""
    length, jumps, creases = boundary_counts(surface, whole, part, FOCAL)
    assert length >= MIN_BOUNDARY
    return jumps / length, creases / length


@pytest.mark.parametrize(("down", "across"), [(0.0, 0.0), (0.7, 0.0), (0.3, -0.5)])
def test_a_planes_normal_faces_the_camera(camera: Camera, down: float, across: float) -> None:
    normal, d = tilted(down, across)
    surface = surface_of(depth_of((normal, d)), camera)
    inner = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(
        surface.normals[inner], np.broadcast_to(-normal, (108, 148, 3)), atol=2e-3
    )
    np.testing.assert_allclose(surface.points[inner] @ normal, d, rtol=1e-6)


@pytest.mark.parametrize("down", [0.0, 0.6, 1.0])
def test_two_halves_of_one_plane_are_not_parted(camera: Camera, down: float) -> None:
    surface = surface_of(depth_of(tilted(down)), camera)
    whole, part = rectangle(20, 20, 100, 140), rectangle(40, 50, 70, 90)
    assert fractions(surface, whole, part) == (0, 0)


def test_what_stands_before_another_is_parted_by_jumps(camera: Camera) -> None:
    whole, part = rectangle(20, 20, 100, 140), rectangle(40, 50, 70, 90)
    depth = np.where(part, DISTANCE - 0.5, DISTANCE)
    jumps, _ = fractions(surface_of(depth, camera), whole, part)
    assert jumps == 1


def test_a_wall_on_a_floor_is_parted_by_a_crease_and_a_roofs_ridge_is_not(camera: Camera) -> None:
    valley = depth_of(tilted(0.8), tilted(-0.8))  # the nearer of both: the edge points away
    ridge = -depth_of(tilted(0.8), tilted(-0.8)) + 2 * DISTANCE  # mirrored in depth
    whole, part = rectangle(20, 20, 100, 140), rectangle(60, 20, 100, 140)
    inner, outer = (
        fractions(surface_of(valley, camera), whole, part),
        fractions(surface_of(ridge, camera), whole, part),
    )
    assert inner == (0, 1)
    assert outer == (0, 0)


def test_small_instances_are_not_counted(camera: Camera) -> None:
    surface = surface_of(depth_of(tilted(0.0)), camera)
    large, flat = rectangle(0, 0, 60, 60), rectangle(5, 5, 9, 60)
    assert not boundary_counts(surface, large, rectangle(5, 5, 9, 9), FOCAL).any()
    assert not boundary_counts(surface, flat, rectangle(5, 5, 5, 5), FOCAL).any()


def test_instances_at_the_border_of_the_image(camera: Camera) -> None:
    surface = surface_of(depth_of(tilted(0.5)), camera)
    whole, part = rectangle(0, 0, HEIGHT, WIDTH), rectangle(0, 0, 40, 40)
    assert fractions(surface, whole, part)[0] == 0


def test_a_ball_on_the_ground_is_parted_from_it_and_its_cap_is_not(synthetic, true_scene) -> None:
    gaussians, truth = true_scene
    ball, ground = (truth == 1).numpy(), (truth == 0).numpy()
    cap = ball & (gaussians.means[:, 2] > 0.4).numpy()
    instances = np.stack([ball | ground, ball, cap], axis=1)
    frames = load_capture(synthetic.root).train
    # The photos are tiny: four pixels across an outline are a third of a ball.
    fine = [dataclasses.replace(frame, camera=scaled(frame.camera, 4)) for frame in frames]
    whole_ball, whole_cap, unrelated = part_whole_scores(
        gaussians,
        fine,
        np.concatenate([instances, ~instances[:, :1] & False], axis=1),
        [(0, 1), (1, 2), (3, 1)],
    )
    assert whole_cap < MIN_WHOLE_SCORE < whole_ball
    assert unrelated == 1


def scaled(camera: Camera, factor: int) -> Camera:
    return dataclasses.replace(
        camera,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=camera.cx * factor,
        cy=camera.cy * factor,
        width=camera.width * factor,
        height=camera.height * factor,
    )
