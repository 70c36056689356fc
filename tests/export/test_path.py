"""Paths of cameras."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.export.path import close_up, flight, framing, look_at, turntable, world_up
from splatseg.geometry.camera import Camera

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
ORIGIN = torch.zeros(3, dtype=torch.float64)
LENS = Camera(torch.eye(4, dtype=torch.float64), 100.0, 100.0, 40.0, 30.0, 80, 60)
UPSIDE_DOWN = replace(LENS, cam_from_world=torch.diag(torch.tensor([-1.0, -1, 1, 1]).double()))


def point(*xyz: float) -> torch.Tensor:
    return torch.tensor(xyz, dtype=torch.float64)


def ring(count: int, distance: float = 2.0, height: float = 1.0) -> list[Camera]:
    """Cameras around the origin."""
    turns = 2 * math.pi * np.arange(count) / count
    places = [point(distance * math.cos(t), distance * math.sin(t), height) for t in turns]
    return [look_at(LENS, place, ORIGIN, UP) for place in places]


def pixel(camera: Camera, world: torch.Tensor) -> tuple[float, float, float]:
    x, y, z = (camera.cam_from_world[:3, :3] @ world + camera.cam_from_world[:3, 3]).tolist()
    return camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy, z


def test_a_camera_looks_at_its_target_with_the_top_up():
    camera = look_at(LENS, point(3.0, 1.0, 2.0), point(0.5, 0.5, 0.5), UP)
    assert torch.allclose(camera.position, point(3.0, 1.0, 2.0))
    assert pixel(camera, point(0.5, 0.5, 0.5)) == pytest.approx((40.0, 30.0, math.sqrt(8.75)))
    column, row, _ = pixel(camera, point(0.5, 0.5, 0.6))
    assert column == pytest.approx(40.0)
    assert row < 30


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: look_at(LENS, point(3, 1, 2), point(3, 1, 2), UP), r"at 3, 1, 2 cannot look"),
        (lambda: look_at(LENS, point(3, 1, 2), point(3, 1, -7), UP), r"at 3, 1, 2 cannot look"),
        (lambda: world_up([]), "no camera"),
        (lambda: world_up([LENS, UPSIDE_DOWN]), "turned all ways"),
        (lambda: framing(LENS, 3.0, 2.0), "cannot frame a ball of radius 3"),
        (lambda: flight([], 5, 8, 8), "two places"),
        (lambda: flight([LENS], 5, 8, 8), "two places"),
        (lambda: flight([LENS] * 3, 5, 8, 8), "two places"),
    ],
)
def test_what_cannot_be_is_refused(build, sentence):
    with pytest.raises(SplatsegError, match=sentence):
        build()


def test_up_is_where_photos_have_their_top():
    assert torch.allclose(world_up(ring(8)), UP)


def test_a_framed_ball_fills_the_shorter_side_by_the_share_named():
    framed = framing(LENS, 0.5, 2.0)
    outline = 0.5 / math.sqrt(2.0**2 - 0.5**2)  # the tangent of the angle at which it is seen
    assert 2 * framed.fy * outline == pytest.approx(0.8 * 60)


def test_a_close_up_stays_where_the_camera_is():
    camera = ring(3)[1]
    near = close_up(camera, point(0.1, 0.2, 0.0), 0.3, 50)
    assert torch.allclose(near.position, camera.position)
    assert (near.width, near.height) == (50, 50)
    assert pixel(near, point(0.1, 0.2, 0.0))[:2] == pytest.approx((25.0, 25.0))


def test_a_turntable_keeps_to_the_distance_height_and_angle_of_the_photos():
    cameras = ring(9)
    made = turntable(cameras, ORIGIN, 4, 120, 90)
    assert torch.allclose(made[0].position, cameras[0].position)
    for camera, angle in zip(made, (0.0, 90.0, 180.0, 270.0), strict=True):
        x, y, z = camera.position.tolist()
        assert (math.hypot(x, y), z) == pytest.approx((2.0, 1.0))
        assert math.degrees(math.atan2(y, x)) % 360 == pytest.approx(angle, abs=1e-9)
        assert pixel(camera, ORIGIN)[:2] == pytest.approx((60.0, 45.0))
        assert camera.fx / camera.height == pytest.approx(LENS.fx / LENS.height)


def test_a_turntable_scales_with_its_world():
    def scaled(camera: Camera, factor: float) -> Camera:
        pose = camera.cam_from_world.clone()
        pose[:3, 3] *= factor
        return replace(camera, cam_from_world=pose)

    center = point(0.2, -0.1, 0.3)
    small = turntable(ring(5), center, 7, 64, 64, radius=0.4)
    large = turntable([scaled(c, 3.0) for c in ring(5)], 3 * center, 7, 64, 64, radius=1.2)
    for one, other in zip(small, large, strict=True):
        assert torch.allclose(scaled(one, 3.0).cam_from_world, other.cam_from_world)
        assert one.fx == pytest.approx(other.fx)


def test_a_turntable_of_photos_from_straight_above_looks_down_at_a_slant():
    above = look_at(LENS, point(0.0, 0.0, 2.0), ORIGIN, point(0.0, 1.0, 0.0))
    side = look_at(LENS, point(0.0, -2.0, 0.1), ORIGIN, UP)
    for camera in turntable([above, above, side], ORIGIN, 3, 64, 64):
        assert pixel(camera, ORIGIN)[:2] == pytest.approx((32.0, 32.0))
    # Where the first photo tells no side to begin at, it begins anywhere.
    above = look_at(LENS, point(0.0, 0.0, 2.0), point(1.0, 0.0, 2.0), UP)
    made = turntable([above, *ring(4)], ORIGIN, 4, 64, 64)
    sides = [camera.position[:2] / camera.position[:2].norm() for camera in made]
    assert [float(a @ b) for a, b in pairwise(sides)] == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_flight_begins_and_ends_at_the_photos_and_passes_them_evenly():
    cameras = ring(12)
    made = flight(cameras, 45, 64, 48)
    assert (made[0].width, made[0].height) == (64, 48)
    for one, other in ((made[0], cameras[0]), (made[-1], cameras[-1])):
        assert torch.allclose(one.cam_from_world, other.cam_from_world, atol=1e-9)
    for passed, index in zip(cameras, range(0, 45, 4), strict=True):
        assert torch.allclose(made[index].cam_from_world, passed.cam_from_world, atol=1e-9)
    places = torch.stack([camera.position for camera in made])
    steps = (places[1:] - places[:-1]).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.2  # a circle's chords, but for the open ends
    doubled = [cameras[0], *cameras]  # at one place
    for one, other in zip(made, flight(doubled, 45, 64, 48), strict=True):
        assert torch.allclose(one.cam_from_world, other.cam_from_world)
