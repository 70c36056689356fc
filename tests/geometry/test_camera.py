"""Cameras: geometry of the pose, resizing, the JSON round trip, and what is refused."""

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

FLOAT64_TOLERANCE = 1e-12


def pose(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.eye(4, dtype=torch.float64)
    quat = torch.randn(4, generator=generator, dtype=torch.float64)
    matrix[:3, :3] = torch.from_numpy(Rotation.from_quat(quat.numpy()).as_matrix())
    matrix[:3, 3] = torch.randn(3, generator=generator, dtype=torch.float64)
    return matrix


def camera(seed: int = 0) -> Camera:
    return Camera(pose(seed), fx=110.0, fy=120.5, cx=47.25, cy=36.125, width=96, height=72)


@given(width=st.integers(1, 500), height=st.integers(1, 500))
def test_resizing_keeps_the_place_in_the_image(width, height):
    """And back again is nothing."""
    view = camera()
    resized = view.resized(width, height)
    assert (resized.width, resized.height) == (width, height)
    points = (view.position + view.cam_from_world[2, :3] * 3 + 0.4)[None]
    places = [v.project(points).xy / torch.tensor([v.width, v.height]) for v in (resized, view)]
    torch.testing.assert_close(*places)
    assert torch.equal(resized.cam_from_world, view.cam_from_world)
    back = dataclasses.astuple(resized.resized(96, 72))[1:]
    assert back == pytest.approx(dataclasses.astuple(view)[1:], rel=FLOAT64_TOLERANCE)


@pytest.mark.parametrize("seed", range(5))
def test_unprojected_points_project_to_their_pixels_and_depths(seed):
    """As the matrices have it, whose origin is the camera's position."""
    view = camera(seed)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.stack(
        [torch.randint(0, side, (50,), generator=generator) for side in (96, 72)], dim=1
    )
    depths = torch.linspace(1.5, 4.0, 50, dtype=torch.float64)
    points = view.unproject(pixels + 0.5, depths)
    there = view.project(points)
    assert bool(there.is_inside.all())
    assert torch.equal(torch.stack([there.columns, there.rows], dim=1), pixels)
    torch.testing.assert_close(there.depths, depths)
    x, y, z = view.cam_from_world[:3, :3] @ (points - view.position).T
    expected = torch.stack([view.fx * x / z + view.cx, view.fy * y / z + view.cy], dim=1)
    torch.testing.assert_close(there.xy, expected)
    torch.testing.assert_close(z, depths, rtol=0.0, atol=FLOAT64_TOLERANCE)
    everywhere = view.pixel_centers()
    assert everywhere.shape == (72, 96, 2) and everywhere[3, 5].tolist() == [5.5, 3.5]


def test_what_is_behind_beside_or_too_near_is_not_inside():
    view = camera()
    pixels = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    points = view.unproject(pixels, torch.tensor([-1.0, 1.0, 0.005], dtype=torch.float64))
    assert view.project(points).is_inside.tolist() == [False, False, False]
    assert view.project(points, near=0.001).is_inside.tolist() == [False, False, True]
    assert bool(view.project(points).xy.isfinite().all())


def test_json_keeps_every_bit():
    view = camera(3)
    back = Camera.from_json(json.loads(json.dumps(view.to_json())))
    assert torch.equal(back.cam_from_world, view.cam_from_world)
    assert back.cam_from_world.dtype == torch.float64
    assert back.to_json() == view.to_json()


def test_cameras_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera().fx = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (np.s_[:3, :3], lambda part: 1.01 * part, "not a rotation"),
        (np.s_[0, :3], torch.neg, "determinant -1"),
        (np.s_[0, 0], lambda _: math.nan, "NaN or infinity"),
        (np.s_[1, 3], lambda _: math.inf, "NaN or infinity"),
    ],
)
def test_poses_that_are_not_rigid_are_refused(place, change: Callable, message):
    """Those that are rounded to a few digits are fine."""
    matrix = (pose() * 1e4).round() / 1e4
    assert torch.equal(dataclasses.replace(camera(), cam_from_world=matrix).cam_from_world, matrix)
    matrix[place] = change(matrix[place])
    with pytest.raises(SplatsegError, match=message):
        dataclasses.replace(camera(), cam_from_world=matrix)


@pytest.mark.parametrize(
    "wrong",
    [{"fx": 0.0}, {"fy": -5.0}, {"fx": math.nan}, {"width": 0}, {"height": -1}],
    ids=str,
)
def test_impossible_intrinsics_are_refused(wrong: dict[str, float]):
    with pytest.raises(SplatsegError, match="expected positive numbers"):
        dataclasses.replace(camera(), **wrong)
    with pytest.raises(SplatsegError, match="0x72"):
        camera().resized(0, 72)
