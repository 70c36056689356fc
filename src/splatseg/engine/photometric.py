"""L1 and SSIM of two images with the gradient of their mixture, in one pass.

The specification is `splatseg.losses.photometric`.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from splatseg.engine import library


class FusedPhotometric(torch.autograd.Function):
    """Fused (1 - w) L1 + w (1 - SSIM) of two h w c images."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, reference: Tensor, ssim_weight: float) -> Tensor:
        planar, target = (
            library.dense(image.permute(2, 0, 1)),
            library.dense(reference.permute(2, 0, 1)),
        )
        grad = torch.empty_like(planar) if ctx.needs_input_grad[0] else None
        l1, ssim = l1_and_ssim(planar, target, ssim_weight, grad)
        ctx.grad = grad
        return image.new_tensor((1 - ssim_weight) * l1 + ssim_weight * (1 - ssim))

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return (ctx.grad.permute(1, 2, 0) * grad_loss, None, None)


def l1_and_ssim(
    planar: Tensor, target: Tensor, ssim_weight: float, grad: Tensor | None
) -> tuple[float, float]:
    """Mean absolute difference and SSIM of two planar images; fills `grad` of their mixture."""
    parts = (ctypes.c_double * 2)()
    status = library.library().splatseg_photometric(
        *planar.shape,
        planar.data_ptr(),
        target.data_ptr(),
        ssim_weight,
        parts,
        library.pointer(grad),
    )
    library.check(status, f"compare {planar.shape[2]}x{planar.shape[1]} images")
    return parts[0], parts[1]
