"""Round Gaussians at given points."""

import math

import torch
from torch import Tensor

from splatseg.geometry import SH_DC, Gaussians


def plain_gaussians(
    means: Tensor, colors: Tensor | None = None, opacities: Tensor | None = None, scale: float = 1.0
) -> Gaussians:
    """Gray and half transparent unless told."""
    count = len(means)
    colors = torch.full((count, 3), 0.5) if colors is None else colors
    opacities = torch.full((count,), 0.5) if opacities is None else opacities
    return Gaussians(
        means=means.float(),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(scale)),
        logit_opacities=opacities.logit(),
        sh=((colors - 0.5) / SH_DC)[:, None],
        features=torch.zeros(count, 4),
    )
