"""Recoloring and hiding Gaussians. The number of Gaussians does not change."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry import SH_DC, Gaussians

HIDDEN_LOGIT = -10.0  # an opacity of 5e-5: below the 1/255 that every renderer skips, and finite


def hide_gaussians(gaussians: Gaussians, selected: Bool[Tensor, " n"]) -> Gaussians:
    """The scene with its `selected` Gaussians at an opacity too low to be drawn."""
    logits = torch.where(selected, HIDDEN_LOGIT, gaussians.logit_opacities)
    return Gaussians(**(gaussians.tensors() | {"logit_opacities": logits}))


def recolor_gaussians(
    gaussians: Gaussians,
    selected: Bool[Tensor, " n"],
    color: Float[Tensor, "3"],
    strength: float,
) -> Gaussians:
    """The scene with the colors of its `selected` Gaussians mixed with `color`.

    Args:
        gaussians: All Gaussians of the scene.
        selected: Those to recolor.
        color: RGB in [0, 1].
        strength: In [0, 1]. 0 leaves the colors as they are; at 1 the selected Gaussians have
            `color` from every direction.

    Raises:
        SplatsegError: a strength or a color outside [0, 1].
    """
    if not bool(((color >= 0) & (color <= 1)).all()):
        raise SplatsegError(
            f"the color is {color.tolist()}",
            expected="RGB from 0 to 1",
        )
    if not 0 <= strength <= 1:
        raise SplatsegError(
            f"the strength is {strength}",
            expected="a fraction from 0 to 1",
        )
    target = torch.zeros_like(gaussians.sh[0])
    target[0] = (color.to(target) - 0.5) / SH_DC
    mixed = torch.lerp(gaussians.sh, target.expand_as(gaussians.sh), strength)
    sh = torch.where(selected[:, None, None], mixed, gaussians.sh)
    return Gaussians(**(gaussians.tensors() | {"sh": sh}))
