"""World points in a camera's picture."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from splatseg.cameras import Camera


@dataclass(frozen=True, eq=False)
class Sight:
    """Where points lie in a picture, whatever stands in front of them."""

    rows: Int64[Tensor, " p"]
    columns: Int64[Tensor, " p"]
    """Of points outside the picture, its nearest pixel or some other."""
    depths: Float[Tensor, " p"]
    """Along the optical axis."""
    inside: Bool[Tensor, " p"]
    """Which points are ahead of the near plane, in the picture."""


def sight(points: Float[Tensor, "p 3"], camera: Camera) -> Sight:
    """The pixels of world points."""
    pose = camera.cam_from_world.to(points)
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).unbind(dim=1)
    is_ahead = z > camera.near
    safe = torch.where(is_ahead, z, 1.0)  # only avoids division by 0
    columns = (camera.fx * x / safe + camera.cx).floor()
    rows = (camera.fy * y / safe + camera.cy).floor()
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    return Sight(
        rows=rows.clamp(0, camera.height - 1).long(),
        columns=columns.clamp(0, camera.width - 1).long(),
        depths=z,
        inside=inside & is_ahead,
    )


def world_points(
    depths: Float[Tensor, " p"],
    rows: Int64[Tensor, " p"],
    columns: Int64[Tensor, " p"],
    camera: Camera,
) -> Float[Tensor, "p 3"]:
    """The points at these depths behind the centres of these pixels: the inverse of `sight`."""
    x = (columns + 0.5 - camera.cx) / camera.fx
    y = (rows + 0.5 - camera.cy) / camera.fy
    points = torch.stack([x, y, torch.ones_like(depths)], dim=1) * depths[:, None]
    pose = camera.cam_from_world.to(points)
    return (points - pose[:3, 3]) @ pose[:3, :3]
