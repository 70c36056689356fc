"""Cameras of new views: around an object, and along the photos' path.

A turntable keeps to the distance and the height that the photos were taken from, where renders are
best. Directions are unit vectors in world axes.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

MIN_UP = 0.1  # length of the mean of the cameras' up vectors; below it they have no common one
MAX_STEEPNESS = math.radians(80)  # above it a turntable spins the picture rather than the object
MIN_STEP = 1e-6  # of a path's length: cameras nearer to each other are one
FILLED = 0.8  # fraction of a picture's shorter side that what it frames fills


def world_up(cameras: Sequence[Camera]) -> Float[Tensor, "3"]:
    """The mean up direction of cameras, a unit vector.

    Raises:
        SplatsegError: no camera, or their tops cancel out.
    """
    if not cameras:
        raise SplatsegError("there is no camera, so nothing tells which way is up")
    up = torch.stack([_up(camera) for camera in cameras]).mean(dim=0)
    if float(up.norm()) < MIN_UP:
        raise SplatsegError(
            f"the {len(cameras)} cameras are turned all ways, so nothing tells which way is up"
        )
    return up / up.norm()


def focus(cameras: Sequence[Camera]) -> Float[Tensor, "3"]:
    """The point that cameras look at, in least squares the nearest to their optical axes."""
    forward = torch.stack([camera.cam_from_world[2, :3] for camera in cameras])
    across = torch.eye(3, dtype=forward.dtype) - forward[:, :, None] * forward[:, None]
    places = torch.stack([camera.position for camera in cameras])
    sums = (across @ places[:, :, None]).sum(dim=0)
    return torch.linalg.lstsq(across.sum(dim=0), sums).solution[:, 0]


def look_at(
    like: Camera,
    position: Float[Tensor, "3"],
    target: Float[Tensor, "3"],
    up: Float[Tensor, "3"],
) -> Camera:
    """`like` moved to `position` and turned to have `target` in the picture's middle.

    Raises:
        SplatsegError: `target` is at `position`, or straight above or below it.
    """
    forward = target - position
    right = torch.linalg.cross(forward, up)
    if float(right.norm()) <= MIN_STEP * float(forward.norm()):
        raise SplatsegError(
            f"a camera at {_text(position)} cannot look at {_text(target)}: that is its own place, "
            "or straight above or below it"
        )
    x, z = right / right.norm(), forward / forward.norm()
    cam_from_world = torch.eye(4, dtype=torch.float64)
    cam_from_world[:3, :3] = torch.stack([x, torch.linalg.cross(z, x), z])
    cam_from_world[:3, 3] = -cam_from_world[:3, :3] @ position
    return replace(like, cam_from_world=cam_from_world, cx=like.width / 2, cy=like.height / 2)


def framing(camera: Camera, radius: float, distance: float) -> Camera:
    """The camera zoomed so that a ball at `distance`, in the middle, fills FILLED of the picture.

    Raises:
        SplatsegError: the camera is inside the ball.
    """
    if not 0 < radius < distance:
        raise SplatsegError(
            f"a camera {distance:.4g} away cannot frame a ball of radius {radius:.4g}",
            expected="one that it is outside of",
        )
    half = FILLED * min(camera.width, camera.height) / 2
    focal = half * math.sqrt(distance**2 - radius**2) / radius
    return replace(camera, fx=focal, fy=focal)


def close_up(camera: Camera, center: Float[Tensor, "3"], radius: float, size: int) -> Camera:
    """A square picture of the ball around `center`, `size` pixels wide, from where `camera` is."""
    position = camera.position
    square = replace(camera, width=size, height=size)
    turned = look_at(square, position, center, _up(camera))
    return framing(turned, radius, float((center - position).norm()))


def turntable(
    cameras: Sequence[Camera],
    center: Float[Tensor, "3"],
    count: int,
    width: int,
    height: int,
    radius: float | None = None,
) -> list[Camera]:
    """`count` cameras on a circle around `center`, one whole turn, that look at it.

    Distance and height are medians over `cameras`, the training views; so is the field of view, or
    with `radius` it is what frames a ball of that radius around `center`. The first camera is on
    the side of the first of `cameras`.

    Raises:
        SplatsegError: the cameras do not tell which way is up, or are inside the ball.
    """
    up = world_up(cameras)
    outward = torch.stack([camera.position for camera in cameras]) - center
    distance = float(outward.norm(dim=1).median())
    heights = torch.atan2(outward @ up, (outward - (outward @ up)[:, None] * up).norm(dim=1))
    steepness = float(heights.median().clamp(-MAX_STEEPNESS, MAX_STEEPNESS))
    ahead, aside = _across(outward[0], up)
    like = _median_lens(cameras, width, height)
    if radius is not None:
        like = framing(like, radius, distance)
    made = []
    for turn in (2 * math.pi * np.arange(count) / count).tolist():
        level = math.cos(turn) * ahead + math.sin(turn) * aside
        direction = math.cos(steepness) * level + math.sin(steepness) * up
        made.append(look_at(like, center + distance * direction, center, up))
    return made


def flight(cameras: Sequence[Camera], count: int, width: int, height: int) -> list[Camera]:
    """`count` cameras along a smooth curve through `cameras`, in their order and at an even pace.

    The field of view is the median one.

    Raises:
        SplatsegError: fewer than two places to pass through.
    """
    places = np.stack([camera.position.numpy() for camera in cameras]) if cameras else np.empty(0)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1) if len(places) > 1 else np.empty(0)
    kept = np.concatenate([[True], steps > MIN_STEP * steps.sum()])
    if kept.sum() < 2:
        raise SplatsegError(
            f"{len(cameras)} cameras at {min(len(cameras), 1)} place make no path",
            expected="two places or more",
        )
    passed = [camera for camera, keep in zip(cameras, kept, strict=True) if keep]
    reached = np.concatenate([[0.0], np.cumsum(steps[kept[1:]])])
    wanted = np.linspace(0, reached[-1], count)
    turns = Rotation.from_matrix([camera.cam_from_world[:3, :3].numpy() for camera in passed])
    rotations = RotationSpline(reached, turns)(wanted).as_matrix()
    positions = CubicSpline(reached, places[kept])(wanted)
    like = _median_lens(cameras, width, height)
    return [
        replace(like, cam_from_world=_pose(rotation, position))
        for rotation, position in zip(rotations, positions, strict=True)
    ]


def _up(camera: Camera) -> Float[Tensor, "3"]:
    """The up direction of a camera."""
    return -camera.cam_from_world[1, :3]


def _across(
    outward: Float[Tensor, "3"], up: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Two level directions at right angles; the first is that of `outward` if it has one."""
    ahead = outward - (outward @ up) * up
    if float(ahead.norm()) <= MIN_STEP * float(outward.norm()):
        ahead = torch.linalg.cross(up, torch.eye(3, dtype=up.dtype)[up.abs().argmin()])
    ahead = ahead / ahead.norm()
    return ahead, torch.linalg.cross(up, ahead)


def _median_lens(cameras: Sequence[Camera], width: int, height: int) -> Camera:
    """A camera whose shorter side spans the median angle that those of `cameras` do."""
    spans = [min(c.width / c.fx, c.height / c.fy) for c in cameras]
    focal = min(width, height) / float(np.median(spans))
    near = min(camera.near for camera in cameras)
    pose = cameras[0].cam_from_world
    return Camera(pose, focal, focal, width / 2, height / 2, width, height, near)


def _pose(
    rotation: Float[np.ndarray, "3 3"], position: Float[np.ndarray, " 3"]
) -> Float[Tensor, "4 4"]:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ position
    return torch.from_numpy(pose)


def _text(point: Float[Tensor, "3"]) -> str:
    return ", ".join(f"{value:.4g}" for value in point.tolist())
