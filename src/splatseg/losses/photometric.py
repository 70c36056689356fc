"""The rendering loss of 3D Gaussian Splatting: (1 - w) L1 + w (1 - SSIM), w = 0.2.

SSIM is Wang et al. 2004 with an 11x11 Gaussian window (sigma 1.5), zero padding, values in [0, 1]:
what 3DGS trains with and reports. `ssim` in plain torch is the specification of the fused native
kernel that `rendering_loss` uses on CPUs.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatseg.engine import library
from splatseg.engine.photometric import FusedPhotometric
from splatseg.losses.term import LossInputs, LossTerm
from splatseg.render import rasterize

SSIM_WEIGHT = 0.2  # 3DGS's lambda
WINDOW_RADIUS = 5
WINDOW_SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # Wang et al.'s constants for a dynamic range of 1


def ssim(image: Float[Tensor, "h w 3"], reference: Float[Tensor, "h w 3"]) -> Float[Tensor, ""]:
    """Mean structural similarity of two RGB images in [0, 1]; 1 when they are equal."""
    offsets = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1).to(image)
    window = torch.exp(-0.5 * (offsets / WINDOW_SIGMA) ** 2)
    window = window / window.sum()

    def local_mean(x: Tensor) -> Tensor:
        planes = x.permute(2, 0, 1)[:, None]
        rows = F.conv2d(planes, window[None, None, None, :], padding=(0, WINDOW_RADIUS))
        return F.conv2d(rows, window[None, None, :, None], padding=(WINDOW_RADIUS, 0))

    mu_a, mu_b = local_mean(image), local_mean(reference)
    s_aa = local_mean(image * image) - mu_a * mu_a
    s_bb = local_mean(reference * reference) - mu_b * mu_b
    s_ab = local_mean(image * reference) - mu_a * mu_b
    numerator = (2 * mu_a * mu_b + C1) * (2 * s_ab + C2)
    denominator = (mu_a * mu_a + mu_b * mu_b + C1) * (s_aa + s_bb + C2)
    return (numerator / denominator).mean()


def rendering_loss(
    image: Float[Tensor, "h w 3"],
    reference: Float[Tensor, "h w 3"],
    ssim_weight: float = SSIM_WEIGHT,
) -> Float[Tensor, ""]:
    """(1 - w) mean |a - b| + w (1 - SSIM); differentiable in `image`."""
    if image.device.type == "cpu" and image.dtype == torch.float32 and library.is_available():
        return FusedPhotometric.apply(image, reference, ssim_weight)
    l1 = (image - reference).abs().mean()
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim(image, reference))


def photometric_term(ssim_weight: float = SSIM_WEIGHT) -> LossTerm:
    """The rendering loss of the frame's photo, in every iteration."""

    def evaluate(inputs: LossInputs) -> Float[Tensor, ""]:
        image = rasterize(inputs.projected, inputs.projected.colors).image
        photo = inputs.observations.photo(inputs.frame).to(image.device)
        return rendering_loss(image, photo, ssim_weight)

    return LossTerm("photometric", evaluate, reads_features=False)
