"""Pinhole cameras.

Axes are OpenCV's: x right, y down, z forward. Pixel (0, 0) covers [0, 1) x [0, 1), so its centre
is at (0.5, 0.5). `cam_from_world` maps world points into the camera: `x_cam = R @ x_world + t`.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.errors import SplatsegError

NEAR = 0.01  # world units
MAX_ROTATION_ERROR = 1e-3  # of R @ R.T against the identity: capture files round to a few digits


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
            raise SplatsegError("the camera pose holds NaN or infinity; expected a rigid transform")
        rotation = pose[:3, :3]
        error = (rotation @ rotation.T - torch.eye(3, dtype=pose.dtype)).abs().max().item()
        if error > MAX_ROTATION_ERROR or torch.linalg.det(rotation).item() < 0:
            raise SplatsegError(
                f"the camera pose is not a rotation (R Rᵀ is {error:.2g} away from the identity, "
                f"determinant {torch.linalg.det(rotation).item():.2g}); expected a rigid transform"
            )
        if not (self.fx > 0 and self.fy > 0 and self.width > 0 and self.height > 0):
            raise SplatsegError(
                f"the camera has focal lengths ({self.fx}, {self.fy}) and size {self.width}x"
                f"{self.height}; expected positive numbers"
            )
        if not self.near > 0:
            raise SplatsegError(f"the camera's near plane is {self.near}; expected a distance")
        if not all(math.isfinite(value) for value in (self.fx, self.fy, self.cx, self.cy)):
            raise SplatsegError(
                f"the camera has focal lengths ({self.fx}, {self.fy}) and principal point "
                f"({self.cx}, {self.cy}); expected finite numbers"
            )

    @property
    def position(self) -> Float[Tensor, "3"]:
        """The camera centre in world coordinates."""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        return -rotation.T @ translation

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
