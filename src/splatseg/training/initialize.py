"""The first Gaussians of a run: one at each point of the capture, as in 3D Gaussian Splatting."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from splatseg.geometry import SH_DC, Gaussians

INITIAL_OPACITY = 0.1
NEIGHBORS = 3  # a Gaussian starts as wide as the distance to its nearest points
MIN_DISTANCE = 1e-7  # points on top of each other: log(0)


def gaussians_from_points(
    points: Float[np.ndarray, "n 3"],
    colors: UInt8[np.ndarray, "n 3"],
    *,
    sh_degree: int,
    features: int,
    feature_init: str,
    generator: torch.Generator,
) -> Gaussians:
    """Isotropic Gaussians at `points` with the points' colors and random features."""
    count = len(points)
    neighbors = min(NEIGHBORS, count - 1)
    distances = np.ones((count, 1))
    if neighbors > 0:
        distances = KDTree(points).query(points, k=neighbors + 1)[0][:, 1:]
    scales = np.sqrt((distances**2).mean(axis=1)).clip(min=MIN_DISTANCE)
    sh = torch.zeros(count, (sh_degree + 1) ** 2, 3)
    sh[:, 0] = (torch.from_numpy(colors).float() / 255 - 0.5) / SH_DC
    return Gaussians(
        means=torch.from_numpy(points).float(),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.from_numpy(np.log(scales)).float()[:, None].repeat(1, 3),
        logit_opacities=torch.full((count,), INITIAL_OPACITY).logit(),
        sh=sh,
        features=first_features(count, features, feature_init, generator),
    )


def first_features(
    count: int, dimensions: int, init: str, generator: torch.Generator
) -> Float[Tensor, "n f"]:
    """Random features: uniform in [0, 1), or standard normal."""
    draw = torch.rand if init == "uniform" else torch.randn
    return draw(count, dimensions, generator=generator)
