"""The surface of an object as a triangle mesh, for robotics and augmented reality.

Depth maps of the object's Gaussians alone are fused to a truncated signed distance on a grid of
voxels: above 0 outside, in units of the truncation. Its zero level is the surface. Voxels that no
view saw through are inside: an object on a table is closed below, flat where its Gaussians end.

Depth is the median: where a ray has accumulated half of its alpha. The mean would lie between two
surfaces wherever a ray meets both. Lengths are world units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.export.path import FILLED, close_up
from splatseg.files import write_bytes
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress, tracked
from splatseg.render import project, rasterize

VOXELS = 96  # along the longest side: finer than Gaussians tell, so that edges are smooth
VOXEL_LIMITS = (8, 256)  # fewer show nothing; more take gigabytes
MARGIN = 2  # voxels around the object on every side
QUANTILES = (0.001, 0.999)  # of the centers: beyond them are floaters
TRUNCATION = 5.0  # pixels of the photos, on the object: how much depths differ between views
MIN_TRUNCATION = 2  # voxels
MAX_SIZE = 1024  # pixels of a view; a smaller one has the resolution of the photos
DEPTHS = 32  # steps across the object; the median depth is interpolated between them
SOLID = 0.5  # alpha from which a ray meets the object
VOXELS_AT_ONCE = 2**20  # voxels that are projected at once: temporary arrays of megabytes
SUFFIXES = (".ply", ".glb", ".obj", ".stl")
INSTALL = "pip install 'splatseg[mesh]'"


class NoSurface(SplatsegError):
    """No view shows a surface of the object."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, counter-clockwise from outside."""

    vertices: Float[np.ndarray, "v 3"]
    """World units."""
    faces: Int[np.ndarray, "f 3"]
    colors: UInt8[np.ndarray, "v 3"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel centers along the world's axes."""

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
        """The voxel centers, the last axis running fastest."""
        axes = [self.spacing * torch.arange(n, device=self.corner.device) for n in self.shape]
        return self.corner + torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class DepthView:
    """Depth and color of an object in one view."""

    camera: Camera
    depth: Float[Tensor, "h w"]
    """Along the optical axis; infinite beside the object."""
    color: Float[Tensor, "h w 3"]


def object_mesh(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    voxels: int = VOXELS,
    progress: Progress = SILENT,
) -> Mesh:
    """The surface of an object: its largest connected component, closed.

    Args:
        gaussians: Those of the object.
        cameras: The training views; those that do not show the object are left out.
        voxels: How many there are along the longest side, within VOXEL_LIMITS.
        progress: Told of the stage "fusing depth", in views.

    Raises:
        NoSurface: no view shows one.
        SplatsegError: scikit-image is not installed.
    """
    marching_cubes = _marching_cubes()
    grid = grid_around(gaussians, voxels)
    views = [camera for camera in cameras if _shows(camera, grid)]
    if not views:
        raise NoSurface("no camera has the whole object before it, so nothing shows its form")
    distance, color = fuse(gaussians, views, grid, progress)
    solid = largest_component(distance)
    if not (solid < 0).any():
        raise NoSurface(
            f"the {len(gaussians)} Gaussians have no surface: they are too few or too faint to "
            "hide what is behind them",
            remedy="select more of the object",
        )
    padded = np.pad(solid, 1, constant_values=1.0)
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")
    places = vertices.astype(np.float64) - 1
    shown = [
        ndimage.map_coordinates(channel, places.T, order=1, mode="nearest") for channel in color
    ]
    return Mesh(
        vertices=grid.corner.cpu().numpy() + grid.spacing * places,
        faces=faces.astype(np.int64),
        colors=(255 * np.stack(shown, axis=-1).clip(0, 1)).round().astype(np.uint8),
    )


def grid_around(gaussians: Gaussians, voxels: int = VOXELS) -> Grid:
    """Voxels around the centers but for outliers, `voxels` along the longest side.

    Raises:
        NoSurface: the Gaussians are at one place.
        SplatsegError: a number that is out of bounds, or no Gaussian.
    """
    least, most = VOXEL_LIMITS
    if not least <= voxels <= most:
        raise SplatsegError(
            f"a mesh of {voxels} voxels is asked for",
            expected=f"{least} to {most}",
        )
    means = gaussians.means.detach()
    if len(means) == 0:
        raise SplatsegError(
            "there is no Gaussian to make a mesh of",
            remedy="select an object",
        )
    low, high = (torch.quantile(means, q, dim=0) for q in QUANTILES)
    longest = float((high - low).max())
    if longest == 0:
        raise NoSurface(
            f"the {len(means)} Gaussians are all at one place",
            expected="an object",
        )
    spacing = longest / voxels
    nx, ny, nz = (((high - low) / spacing).ceil().int() + 1 + 2 * MARGIN).tolist()
    return Grid(low - MARGIN * spacing, spacing, (nx, ny, nz))


def fuse(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    grid: Grid,
    progress: Progress = SILENT,
) -> tuple[Float[np.ndarray, "nx ny nz"], Float[np.ndarray, "3 nx ny nz"]]:
    """The truncated signed distance at every voxel, and the color of the nearest surface.

    Distances are means over the views that see the voxel, or the surface less than the truncation
    in front of it; -1 where none does. A view that meets nothing on its way to a voxel counts 1.
    """
    center = grid.center.double().cpu()
    pixel = float(np.median([float((c.position - center).norm()) / c.fx for c in cameras]))
    truncation = max(TRUNCATION * pixel, MIN_TRUNCATION * grid.spacing)
    size = min(math.ceil(2 * grid.radius / (FILLED * pixel)), MAX_SIZE)
    sums = _Sums.at(grid.points())
    for camera in tracked(cameras, "fusing depth", progress):
        near = close_up(camera, center, grid.radius, size)
        sums.add(depth_view(gaussians, near, center, grid.radius), truncation)
    distance, color, is_colored = sums.means()
    paint = color.T.reshape(3, *grid.shape).cpu().numpy()
    known = is_colored.reshape(grid.shape).cpu().numpy()
    return distance.reshape(grid.shape).cpu().numpy(), _spread(paint, known)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over views at the voxels, added to in place."""

    points: Float[Tensor, "p 3"]
    distance: Float[Tensor, " p"]
    seen: Float[Tensor, " p"]
    """Views with a distance."""
    color: Float[Tensor, "p 3"]
    colored: Float[Tensor, " p"]
    """Views with a color."""

    @staticmethod
    def at(points: Float[Tensor, "p 3"]) -> "_Sums":
        distance, seen, colored = torch.zeros(3, len(points), device=points.device)
        return _Sums(points, distance, seen, torch.zeros_like(points), colored)

    def add(self, view: DepthView, truncation: float) -> None:
        for start in range(0, len(self.points), VOXELS_AT_ONCE):
            part = slice(start, start + VOXELS_AT_ONCE)
            ahead, shown = _look_up(view, self.points[part])
            signed = (ahead / truncation).clamp(max=1)
            counts = signed >= -1
            at_surface = counts & (signed < 1)
            self.distance[part] += torch.where(counts, signed, 0)
            self.seen[part] += counts
            self.color[part] += torch.where(at_surface[:, None], shown, 0)
            self.colored[part] += at_surface

    def means(self) -> tuple[Float[Tensor, " p"], Float[Tensor, "p 3"], Bool[Tensor, " p"]]:
        """Distances, -1 where no view has one; colors, 0 where none has one; and which have one."""
        distance = torch.where(self.seen > 0, self.distance / self.seen.clamp_min(1), -1)
        return distance, self.color / self.colored.clamp_min(1)[:, None], self.colored > 0


def depth_view(
    gaussians: Gaussians, camera: Camera, center: Float[Tensor, "3"], radius: float
) -> DepthView:
    """Median depth and color of the object, which is within `radius` of `center`."""
    middle = float((camera.cam_from_world[:3, :3] @ center + camera.cam_from_world[:3, 3])[2])
    with torch.no_grad():
        view = project(gaussians, camera)
        ends = torch.linspace(middle - radius, middle + radius, 1 + DEPTHS).to(view.depths)
        before = ((ends - view.depths[:, None]) / (ends[1] - ends[0]) + 0.5).clamp(0, 1)
        rendered = rasterize(view, torch.cat([view.colors, before], dim=1))
    image = rendered.image / rendered.alpha.clamp_min(SOLID)[..., None]
    depth = _crossing(image[..., 3:], ends)
    return DepthView(camera, depth.where(rendered.alpha >= SOLID, torch.inf), image[..., :3])


def largest_component(distance: Float[np.ndarray, "nx ny nz"]) -> Float[np.ndarray, "nx ny nz"]:
    """The distance of the largest connected component alone, with its hollows filled."""
    labeled: Any = ndimage.label(distance < 0)
    components, count = labeled
    if count == 0:
        return distance
    largest = 1 + np.bincount(components.ravel())[1:].argmax()
    solid = np.asarray(ndimage.binary_fill_holes(components == largest), dtype=bool)
    return np.where(
        solid, np.where(distance < 0, distance, -1.0), np.where(distance < 0, 1.0, distance)
    )


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a mesh as PLY, GLB, OBJ or STL, by the suffix of `path`; an STL has no colors.

    Raises:
        SplatsegError: another suffix, or trimesh is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SplatsegError(
            f"{path} has the suffix {path.suffix!r}",
            expected=f"one of {', '.join(SUFFIXES)}",
        )
    try:
        import trimesh
    except ImportError as error:
        raise SplatsegError(f"writing {path} needs trimesh: {INSTALL}") from error
    made: Any = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colors, process=False)
    content = made.export(file_type=suffix[1:])
    write_bytes(path, content.encode() if isinstance(content, str) else content)


def _shows(camera: Camera, grid: Grid) -> bool:
    """Whether the object's middle is in the picture, and all of it before the camera."""
    center = camera.project(grid.center.double().cpu()[None])
    return bool(center.is_inside) and float(center.depths) > grid.radius + camera.near


def _look_up(
    view: DepthView, points: Float[Tensor, "p 3"]
) -> tuple[Float[Tensor, " p"], Float[Tensor, "p 3"]]:
    """How far the surface is behind each point, along the optical axis, and its color there.

    -inf where the point is not in the picture.
    """
    seen = view.camera.project(points)
    behind = view.depth[seen.rows, seen.columns] - seen.depths
    return torch.where(seen.is_inside, behind, -torch.inf), view.color[seen.rows, seen.columns]


def _crossing(fraction: Float[Tensor, "h w k"], ends: Float[Tensor, " k"]) -> Float[Tensor, "h w"]:
    """Where a fraction that rises from 0 to 1 over `ends` is a half, linear between ends."""
    after = (fraction >= 0.5).int().argmax(dim=-1, keepdim=True).clamp_min(1)
    low, high = fraction.gather(-1, after - 1), fraction.gather(-1, after)
    step = ((0.5 - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)  # 0/0 where nothing is met
    return torch.lerp(ends[after - 1], ends[after], step)[..., 0]


def _spread(
    color: Float[np.ndarray, "3 nx ny nz"], known: Bool[np.ndarray, "nx ny nz"]
) -> Float[np.ndarray, "3 nx ny nz"]:
    """The colors, with unknown ones replaced by that of the nearest known voxel."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    i, j, k = np.asarray(nearest)
    return color[:, i, j, k]


def _marching_cubes() -> Any:
    """The function; imported where it is used, for it is an extra."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise SplatsegError(f"a mesh needs scikit-image: {INSTALL}") from error
    return marching_cubes
