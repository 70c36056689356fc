"""Cameras: geometry of the pose, resizing, the JSON round trip, and what is refused."""

import dataclasses
import json
import math
from collections.abc import Callable

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


def pixel(view: Camera, point: Tensor) -> Tensor:
    x, y, z = view.cam_from_world[:3, :3] @ point + view.cam_from_world[:3, 3]
    return torch.stack([view.fx * x / z + view.cx, view.fy * y / z + view.cy])


def test_the_position_is_the_origin_of_the_camera():
    for seed in range(5):
        view = camera(seed)
        at = torch.cat([view.position, torch.ones(1, dtype=torch.float64)])
        expected = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(
            view.cam_from_world @ at, expected, rtol=0.0, atol=FLOAT64_TOLERANCE
        )


@given(width=st.integers(1, 500), height=st.integers(1, 500))
def test_resizing_keeps_the_place_in_the_image(width, height):
    view = camera()
    resized = view.resized(width, height)
    assert (resized.width, resized.height) == (width, height)
    point = view.position + view.cam_from_world[2, :3] * 3 + 0.4
    size = torch.tensor([view.width, view.height])
    other = torch.tensor([width, height])
    torch.testing.assert_close(pixel(resized, point) / other, pixel(view, point) / size)
    assert torch.equal(resized.cam_from_world, view.cam_from_world)


def test_unprojected_points_project_to_their_pixels_and_depths():
    view = camera()
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
    torch.testing.assert_close(there.xy[7], pixel(view, points[7]))
    everywhere = view.pixel_centers()
    assert everywhere.shape == (72, 96, 2) and everywhere[3, 5].tolist() == [5.5, 3.5]


def test_what_is_behind_beside_or_too_near_is_not_inside():
    view = camera()
    pixels = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    points = view.unproject(pixels, torch.tensor([-1.0, 1.0, 0.005], dtype=torch.float64))
    assert view.project(points).is_inside.tolist() == [False, False, False]
    assert view.project(points, near=0.001).is_inside.tolist() == [False, False, True]
    assert bool(view.project(points).xy.isfinite().all())


def test_resizing_there_and_back_is_nothing():
    view = camera()
    back = view.resized(31, 200).resized(96, 72)
    for name in ("fx", "fy", "cx", "cy", "width", "height"):
        assert getattr(back, name) == pytest.approx(getattr(view, name), rel=FLOAT64_TOLERANCE)
    same = view.resized(96, 72)
    assert dataclasses.astuple(same)[1:] == dataclasses.astuple(view)[1:]


def test_json_keeps_every_bit():
    view = camera(3)
    back = Camera.from_json(json.loads(json.dumps(view.to_json())))
    assert torch.equal(back.cam_from_world, view.cam_from_world)
    assert back.cam_from_world.dtype == torch.float64
    assert back.to_json() == view.to_json()


def test_cameras_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera().fx = 3.0  # type: ignore[misc]


def scaled(matrix: Tensor) -> Tensor:
    matrix[:3, :3] *= 1.01
    return matrix


def mirrored(matrix: Tensor) -> Tensor:
    matrix[0, :3] *= -1
    return matrix


def with_value(row: int, column: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(matrix: Tensor) -> Tensor:
        matrix[row, column] = value
        return matrix

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (scaled, "not a rotation"),
        (mirrored, "determinant -1"),
        (with_value(0, 0, math.nan), "NaN or infinity"),
        (with_value(1, 3, math.inf), "NaN or infinity"),
    ],
)
def test_poses_that_are_not_rigid_are_refused(change: Callable[[Tensor], Tensor], message):
    with pytest.raises(SplatsegError, match=message):
        Camera(change(pose()), fx=1.0, fy=1.0, cx=0.0, cy=0.0, width=1, height=1)


def test_poses_rounded_to_a_few_digits_are_fine():
    rounded = (pose() * 1e4).round() / 1e4
    assert Camera(rounded, fx=1.0, fy=1.0, cx=0.0, cy=0.0, width=1, height=1).width == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"fx": 0.0},
        {"fy": -5.0},
        {"fx": math.nan},
        {"width": 0},
        {"height": -1},
    ],
    ids=str,
)
def test_impossible_intrinsics_are_refused(wrong: dict[str, float]):
    with pytest.raises(SplatsegError, match="expected positive numbers"):
        dataclasses.replace(camera(), **wrong)
    if "width" in wrong:
        with pytest.raises(SplatsegError, match="0x72"):
            camera().resized(0, 72)
