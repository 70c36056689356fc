"""The points that training starts from: read from a PLY file, or sampled where the cameras look."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from numpy.lib.recfunctions import unstructured_to_structured

from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.ply_header import (
    ASCII,
    BYTE_ORDERS,
    InvalidPlyHeader,
    PlyHeader,
    read_ply_header,
)

GRAY = 128  # the color of a point that has none

SAMPLED_POINTS = 20_000  # about what COLMAP finds in a small scene; density control adds the rest
CANDIDATES_PER_POINT = 4  # candidates drawn for every point kept
MAX_VOTERS = 64  # cameras that vote on a candidate: enough to tell the middle from the outside
SEEN_BY_FRACTION = 0.25  # a point seen by a quarter of the cameras is as good as one seen by all
NEAREST, FARTHEST = 0.1, 10.0  # depths of candidates, in scene extents: from tabletop to landscape

NEAR_QUANTILE = 0.02  # of the depths of the points in view: the very nearest may be wrong
NEAR_FRACTION = 0.5  # of that depth: surfaces without points may be nearer than those with
MIN_SEEN_POINTS = 50  # fewer tell nothing
MAX_NEAR_POINTS = 100_000  # asked of each camera: 500 photos and a million points take 20 s else


class Points(NamedTuple):
    """Colored points, in world units."""

    xyz: Float[np.ndarray, "n 3"]
    rgb: UInt8[np.ndarray, "n 3"]

    def finite(self) -> "Points":
        """Without the points that hold NaN or infinity."""
        keep = np.isfinite(self.xyz).all(axis=1)
        return Points(self.xyz[keep], self.rgb[keep])


NO_POINTS = Points(np.zeros((0, 3)), np.zeros((0, 3), np.uint8))


def read_ply(path: Path) -> Points:
    """The vertices of an ascii or binary PLY; gray where it has no red, green and blue."""
    try:
        with open(path, "rb") as file:
            rows = _read_vertices(file)
        xyz = np.column_stack([rows[name] for name in "xyz"]).astype(np.float64)
        return Points(xyz, _colors(rows))
    except (OSError, ValueError) as error:
        raise SplatsegError(
            f"{path} is not a usable point cloud ({error})",
            expected=(
                "a PLY file that begins with its vertices: x, y, z and perhaps red, green, blue"
            ),
        ) from error


def sample_points(cameras: Sequence[Camera], extent: float) -> Points:
    """Gray points in the volume that many of `cameras` see; the same for the same cameras.

    Candidates lie on random rays of the cameras, uniform in the logarithm of depth. Those that
    fewer than a quarter of the cameras see are kept only where better ones have run out.
    """
    rng = np.random.default_rng(0)
    candidates = _points_on_rays(cameras, extent, SAMPLED_POINTS * CANDIDATES_PER_POINT, rng)
    chosen = np.unique(np.linspace(0, len(cameras) - 1, MAX_VOTERS).astype(int))
    views = np.sum([_sees(cameras[i], candidates) for i in chosen], axis=0)
    enough = np.ceil(SEEN_BY_FRACTION * len(chosen))
    best_first = np.argsort(-np.minimum(views, enough), kind="stable")
    xyz = candidates[best_first[:SAMPLED_POINTS]]
    return Points(xyz, np.full(xyz.shape, GRAY, np.uint8))


def near_plane(camera: Camera, xyz: Float[np.ndarray, "n 3"]) -> float:
    """A near plane for `camera` in front of all that the points `xyz` say it sees.

    What is nearer can only be a floater: Gaussians hung before a single camera explain its exposure
    or its noise at no cost to the others, and veil every new view that looks past that camera.
    """
    xyz = xyz[:: max(1, math.ceil(len(xyz) / MAX_NEAR_POINTS))]
    seen = xyz[_sees(camera, xyz)]
    if len(seen) < MIN_SEEN_POINTS:
        return camera.near
    depths = camera.project(torch.from_numpy(seen)).depths.numpy()
    return NEAR_FRACTION * float(np.quantile(depths, NEAR_QUANTILE))


def _points_on_rays(
    cameras: Sequence[Camera], extent: float, count: int, rng: np.random.Generator
) -> Float[np.ndarray, "count 3"]:
    intrinsics = np.array([(c.fx, c.fy, c.cx, c.cy, c.width, c.height) for c in cameras])
    rotations = np.stack([c.cam_from_world[:3, :3].numpy() for c in cameras])
    positions = np.stack([c.position.numpy() for c in cameras])
    owner = rng.integers(len(cameras), size=count)
    focal, center, size = np.split(intrinsics[owner], 3, axis=1)
    rays = np.ones((count, 3))
    rays[:, :2] = (rng.uniform(size=(count, 2)) * size - center) / focal
    depth = extent * np.exp(rng.uniform(np.log(NEAREST), np.log(FARTHEST), size=(count, 1)))
    world_from_cam = rotations[owner].transpose(0, 2, 1)
    return (world_from_cam @ (rays * depth)[..., None])[..., 0] + positions[owner]


def _sees(camera: Camera, xyz: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Which points are in the image, however near."""
    return camera.project(torch.from_numpy(xyz), near=0.0).is_inside.numpy()


def _read_vertices(file: BinaryIO) -> Shaped[np.ndarray, " n"]:
    """The `vertex` element as a structured array."""
    try:
        header = read_ply_header(file)
    except InvalidPlyHeader as error:
        raise ValueError(f"it {error}") from error
    if header.format not in (ASCII, *BYTE_ORDERS) or not _begins_with_vertices(header):
        raise ValueError("its header gives no format, or another element than vertex first")
    vertex = header.elements[0]
    for name in vertex.lists:
        raise ValueError(f"`property {vertex.properties[name]} {name}` is not a single number")
    dtype = vertex.dtype(BYTE_ORDERS.get(header.format, "="))
    if header.format == ASCII:
        size = len(vertex.properties)
        numbers = np.array(file.read().split()[: vertex.count * size], dtype=np.float64)
        return unstructured_to_structured(numbers.reshape(vertex.count, size), dtype)
    return np.frombuffer(file.read(), dtype, vertex.count)


def _begins_with_vertices(header: PlyHeader) -> bool:
    return bool(header.elements) and header.elements[0].name == "vertex"


def _colors(rows: Shaped[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3"]:
    """Red, green and blue, 0 to 255."""
    names = rows.dtype.names or ()
    if not {"red", "green", "blue"} <= set(names):
        return np.full((len(rows), 3), GRAY, np.uint8)
    rgb = np.column_stack([rows[name] for name in ("red", "green", "blue")])
    return np.clip(rgb, 0, 255).astype(np.uint8)
