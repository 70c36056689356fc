"""The objects of a clustered scene as a table."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from splatseg.gaussians import SH_DC, Gaussians

BOX_QUANTILES = (0.02, 0.98)  # floaters would stretch a box around all Gaussians


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene; lengths in world units."""

    id: int
    gaussians: int
    center: tuple[float, float, float]
    """Median of the Gaussians' centres."""
    size: tuple[float, float, float]
    """Sides of the axis-aligned box that holds the Gaussians but for a few outliers."""
    color: tuple[int, int, int]
    """Mean base colour weighted by opacity, 0 to 255."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def object_table(gaussians: Gaussians, labels: Int[Tensor, " n"]) -> list[SceneObject]:
    """A row for every id above 0 that has Gaussians, by id."""
    ids = torch.unique(labels[labels > 0]).tolist()
    return [_describe(gaussians, labels == object_id, object_id) for object_id in ids]


def _describe(gaussians: Gaussians, inside: Bool[Tensor, " n"], object_id: int) -> SceneObject:
    means = gaussians.means[inside]
    low, high = (torch.quantile(means, q, dim=0) for q in BOX_QUANTILES)
    weights = gaussians.opacities[inside][:, None]
    base = (0.5 + SH_DC * gaussians.sh[inside, 0]).clamp(0, 1)
    color = (base * weights).sum(dim=0) / weights.sum()
    return SceneObject(
        id=object_id,
        gaussians=int(inside.sum()),
        center=_triple(means.median(dim=0).values),
        size=_triple(high - low),
        color=tuple((color * 255).round().int().tolist()),
    )


def _triple(values: Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return (round(x, 4), round(y, 4), round(z, 4))
