"""Pinhole cameras, and the only place where points are projected and unprojected.

Axes are OpenCV's: x right, y down, z forward. Pixel (0, 0) covers [0, 1) x [0, 1), so its center
is at (0.5, 0.5). `cam_from_world` maps world points into the camera: `x_cam = R @ x_world + t`.
A depth is the distance along the optical axis, in world units.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from splatseg.errors import SplatsegError

NEAR = 0.01  # world units
MAX_ROTATION_ERROR = 1e-3  # of R @ R.T against the identity: capture files round to a few digits


@dataclass(frozen=True, eq=False)
class PixelProjection:
    """World points in a camera's image, whatever stands in front of them."""

    in_camera: Float[Tensor, "n 3"]
    """The points in the camera's frame; the last coordinate is the depth."""
    xy: Float[Tensor, "n 2"]
    """In pixels. Of points that are not in front of the camera, some finite place."""
    is_in_front: Bool[Tensor, " n"]
    """Beyond the near plane."""
    is_inside: Bool[Tensor, " n"]
    """In front, and in the image."""
    columns: Int64[Tensor, " n"]
    """The pixel that holds the point; of points outside the image, some pixel of it."""
    rows: Int64[Tensor, " n"]

    @property
    def depths(self) -> Float[Tensor, " n"]:
        """Along the optical axis; 0 or less behind the camera."""
        return self.in_camera[:, 2]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: intrinsics in pixels, pose, and image size."""

    cam_from_world: Float[Tensor, "4 4"]
    """Rigid transform, float64, on the CPU."""
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    near: float = NEAR
    """Gaussians closer than this along the optical axis are not drawn; world units."""

    def __post_init__(self) -> None:
        pose = self.cam_from_world
        if not bool(torch.isfinite(pose).all()):
            raise SplatsegError(
                "the camera pose holds NaN or infinity",
                expected="a rigid transform",
            )
        rotation = pose[:3, :3]
        error = (rotation @ rotation.T - torch.eye(3, dtype=pose.dtype)).abs().max().item()
        if error > MAX_ROTATION_ERROR or torch.linalg.det(rotation).item() < 0:
            raise SplatsegError(
                f"the camera pose is not a rotation (R Rᵀ is {error:.2g} away from the identity, "
                f"determinant {torch.linalg.det(rotation).item():.2g})",
                expected="a rigid transform",
            )
        if not (self.fx > 0 and self.fy > 0 and self.width > 0 and self.height > 0):
            raise SplatsegError(
                f"the camera has focal lengths ({self.fx}, {self.fy}) and size "
                f"{self.width}x{self.height}",
                expected="positive numbers",
            )
        if not self.near > 0:
            raise SplatsegError(
                f"the camera's near plane is {self.near}",
                expected="a distance",
            )
        if not all(math.isfinite(value) for value in (self.fx, self.fy, self.cx, self.cy)):
            raise SplatsegError(
                f"the camera has focal lengths ({self.fx}, {self.fy}) and principal "
                f"point ({self.cx}, "
                f"{self.cy})",
                expected="finite numbers",
            )

    @property
    def position(self) -> Float[Tensor, "3"]:
        """The camera center in world coordinates."""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        return -rotation.T @ translation

    def project(self, points: Float[Tensor, "n 3"], near: float | None = None) -> PixelProjection:
        """Project world points into the image.

        Args:
            points: in world units.
            near: the depth beyond which a point counts as in front; by default the camera's.
        """
        pose = self.cam_from_world.to(points)
        in_camera = points @ pose[:3, :3].T + pose[:3, 3]
        is_in_front = in_camera[:, 2] > (self.near if near is None else near)
        x, y, z = torch.where(is_in_front[:, None], in_camera, 1.0).unbind(-1)
        xy = torch.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], dim=-1)
        columns, rows = xy.detach().floor().unbind(-1)
        is_inside = (columns >= 0) & (columns < self.width) & (rows >= 0) & (rows < self.height)
        return PixelProjection(
            in_camera=in_camera,
            xy=xy,
            is_in_front=is_in_front,
            is_inside=is_inside & is_in_front,
            columns=columns.clamp(0, self.width - 1).long(),
            rows=rows.clamp(0, self.height - 1).long(),
        )

    def rays(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 3"]:
        """Directions of depth 1, in the camera's frame, through points of the image in pixels."""
        x, y = xy.unbind(-1)
        x, y = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        return torch.stack([x, y, torch.ones_like(x)], dim=-1)

    def unproject(
        self, xy: Float[Tensor, "n 2"], depths: Float[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        """The world points at `depths` behind points of the image: the inverse of `project`."""
        in_camera = self.rays(xy) * depths[:, None]
        pose = self.cam_from_world.to(in_camera)
        return (in_camera - pose[:3, 3]) @ pose[:3, :3]

    def pixel_centers(self) -> Float[Tensor, "h w 2"]:
        """x and y of the center of every pixel, float64."""
        y, x = torch.meshgrid(
            torch.arange(self.height, dtype=torch.float64) + 0.5,
            torch.arange(self.width, dtype=torch.float64) + 0.5,
            indexing="ij",
        )
        return torch.stack([x, y], dim=-1)

    def resized(self, width: int, height: int) -> "Camera":
        """The same view at another image size; each axis is scaled by its own ratio."""
        sx, sy = width / self.width, height / self.height
        return dataclasses.replace(
            self,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            width=width,
            height=height,
        )

    def window(self, x: int, y: int, width: int, height: int) -> "Camera":
        """The camera of a part of the image, whose first pixel is (x, y)."""
        return dataclasses.replace(self, cx=self.cx - x, cy=self.cy - y, width=width, height=height)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict that `from_json` reads back exactly."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {"cam_from_world": self.cam_from_world.tolist()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Camera":
        """Rebuild a camera from `to_json`'s dict."""
        pose = torch.tensor(data["cam_from_world"], dtype=torch.float64)
        fields: dict[str, Any] = data | {"cam_from_world": pose}
        return Camera(**fields)
