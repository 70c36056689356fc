"""The surface of an object as a triangle mesh, for robotics and augmented reality.

Views of the object's Gaussians alone give depth, which is fused to a truncated signed distance on a
grid of voxels: above 0 outside, in units of the truncation. Its zero level is the surface. What no
view saw through is inside: an object on a table is closed below, flat where its Gaussians end.

Depth is the median: where a ray has met half of what it meets. The mean lies between two surfaces
wherever it meets both. Lengths are world units.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

from splatseg.cameras import Camera
from splatseg.errors import SplatsegError
from splatseg.export.path import close_up
from splatseg.files import write_bytes
from splatseg.gaussians import Gaussians
from splatseg.render import project, render

VOXELS = 128  # along the longest side
VOXEL_LIMITS = (8, 512)  # fewer show nothing; more take gigabytes
MARGIN = 2  # voxels around the object on every side
QUANTILES = (0.005, 0.995)  # of the centres: what is beyond floats
TRUNCATION = 6  # voxels: views' depths differ by some, and walls may be as thin as that
PIXEL = 2  # voxels; finer pictures show the gaps between Gaussians
DEPTHS = 32  # steps, across the object, that the median depth is interpolated between
SOLID = 0.5  # alpha from which a ray meets the object
SUFFIXES = (".ply", ".glb", ".obj", ".stl")

Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, counter-clockwise from outside."""

    vertices: Float[np.ndarray, "v 3"]
    """World units."""
    faces: Int[np.ndarray, "f 3"]
    colors: UInt8[np.ndarray, "v 3"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel centres along the world's axes."""

    corner: Float[Tensor, "3"]
    """The first one."""
    spacing: float
    shape: tuple[int, int, int]

    @property
    def center(self) -> Float[Tensor, "3"]:
        """The grid's middle."""
        return self.corner + self.spacing * (self.corner.new_tensor(self.shape) - 1) / 2

    @property
    def radius(self) -> float:
        """Of the ball around it."""
        return self.spacing * math.hypot(*self.shape) / 2

    def points(self) -> Float[Tensor, "p 3"]:
        """The voxel centres, the last axis running fastest."""
        axes = [self.spacing * torch.arange(n, device=self.corner.device) for n in self.shape]
        return self.corner + torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class DepthView:
    """What one camera sees of an object."""

    camera: Camera
    depth: Float[Tensor, "h w"]
    """Along the optical axis; infinite where the object is not met."""
    color: Float[Tensor, "h w 3"]


def object_mesh(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    voxels: int = VOXELS,
    report: Report = lambda done, total: None,
) -> Mesh:
    """The surface of the object that consists of `gaussians`, as `cameras`, the training views, see it.

    Only the largest piece. `voxels` is how many there are along the longest side; `report` counts
    cameras. Cameras that do not look at the object, or are too near, are passed over.

    Raises:
        SplatsegError: no surface is found, or scikit-image is not installed.
    """
    measure = _skimage()
    grid = grid_around(gaussians, voxels)
    views = [camera for camera in cameras if _looks_at(camera, grid)]
    if not views:
        raise SplatsegError("no camera has the object in its picture, so it has no surface to fuse")
    distance, color = fuse(gaussians, views, grid, report)
    closed = np.pad(_largest(distance.cpu().numpy()), 1, constant_values=1.0)
    if not (closed < 0).any():
        raise SplatsegError(
            f"the {len(gaussians)} Gaussians have no surface: no view meets one; check the object "
            "in a picture, or select more of it"
        )
    # The gradient descends from outside to inside, and the faces look outward.
    vertices, faces, _, _ = measure.marching_cubes(closed, 0.0, gradient_direction="ascent")
    places = vertices.astype(np.float64) - 1
    shown = [ndimage.map_coordinates(c, places.T, order=1, mode="nearest") for c in color]
    world = grid.corner.cpu().numpy() + grid.spacing * places
    colors = (255 * np.stack(shown, axis=-1).clip(0, 1)).round().astype(np.uint8)
    return Mesh(world, faces.astype(np.int64), colors)
