"""3D Gaussian Splatting's density control (Kerbl 2023, section 5.2), on plain tensors.

Where the projected centers of Gaussians keep a large gradient, the scene lacks detail: small
Gaussians there are cloned, large ones split in two. Faint and oversized ones are pruned. Features
are copied on clone and split. The functions return which old Gaussian each new one comes from, so
that the optimizer's moments can follow.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians, concatenate
from splatseg.geometry.rotations import rotation_matrices
from splatseg.training.config import DensityConfig

SPLIT_SHRINK = 1.6  # a half is this much smaller than the Gaussian it came from (3DGS)
RESET_OPACITY = 0.01
MORTON_BITS = 10


@dataclass
class DensityStatistics:
    """Gradients of the projected centers since the last round."""

    gradient_sum: Float[Tensor, " n"]
    seen: Float[Tensor, " n"]
    """Views that a Gaussian touched."""

    @staticmethod
    def zeros(count: int, device: torch.device | None = None) -> "DensityStatistics":
        """Nothing seen yet."""
        return DensityStatistics(
            torch.zeros(count, device=device), torch.zeros(count, device=device)
        )

    def to(self, device: torch.device) -> "DensityStatistics":
        """The same on another device."""
        return DensityStatistics(self.gradient_sum.to(device), self.seen.to(device))

    def add(
        self, grad_means2d: Float[Tensor, "n 2"], visible: Bool[Tensor, " n"], size: tuple[int, int]
    ) -> None:
        """Count one view's gradient, in normalized image coordinates as 3DGS has it.

        `size` is the image's (width, height).
        """
        half_size = grad_means2d.new_tensor(size) / 2
        self.gradient_sum += torch.where(visible, (grad_means2d * half_size).norm(dim=-1), 0.0)
        self.seen += visible


@dataclass(frozen=True)
class DensifyResult:
    """Gaussians after a round, and where they come from."""

    gaussians: Gaussians
    source: Int[Tensor, " m"]
    """The old index that each Gaussian comes from."""
    is_new: Bool[Tensor, " m"]
    """Whether it was created in this round: its moments start at zero."""


def densify(
    gaussians: Gaussians,
    statistics: DensityStatistics,
    config: DensityConfig,
    *,
    extent: float,
    max_gaussians: int,
    prune_large: bool,
    generator: torch.Generator,
) -> DensifyResult:
    """One round: clone and split where gradients are large, then prune; in Morton order.

    At most `max_gaussians` remain as long as no more were given: the largest gradients win.
    `generator` is a CPU one whatever the device of the Gaussians, so that a seed gives one draw.
    """
    wanted = _largest_gradients(statistics, config.threshold, max_gaussians - len(gaussians))
    is_large = gaussians.scales.amax(dim=-1) > config.split_scale * extent
    cloned = (wanted & ~is_large).nonzero()[:, 0]
    halved = (wanted & is_large).nonzero()[:, 0]
    kept = (~(wanted & is_large)).nonzero()[:, 0]
    halves = halved.repeat(2)
    source = torch.cat([kept, cloned, halves])
    grown = concatenate(
        [
            gaussians.select(kept),
            gaussians.select(cloned),
            _scattered(gaussians.select(halves), generator),
        ]
    )
    is_new = torch.arange(len(source), device=source.device) >= len(kept)

    # A diverged Gaussian (NaN) is faint by this comparison, or has no place to be.
    survives = (grown.opacities >= config.min_opacity) & grown.means.isfinite().all(dim=-1)
    if prune_large:
        survives &= grown.scales.amax(dim=-1) <= config.max_scale * extent
    survivors = survives.nonzero()[:, 0]
    order = survivors[morton_order(grown.means[survivors])]
    return DensifyResult(grown.select(order), source[order], is_new[order])


def reset_opacities(logit_opacities: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Opacities lowered to at most RESET_OPACITY, so that floaters must earn theirs again."""
    return logit_opacities.clamp_max(math.log(RESET_OPACITY / (1 - RESET_OPACITY)))


def morton_order(means: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """Indices along a Z-order curve: neighbors in space become neighbors in memory."""
    if len(means) == 0:
        return torch.empty(0, dtype=torch.long, device=means.device)
    low = means.amin(dim=0)
    side = (means.amax(dim=0) - low).max().clamp_min(torch.finfo(means.dtype).tiny)
    cells = ((means - low) / side * (2**MORTON_BITS - 1)).long()
    code = torch.zeros_like(cells[:, 0])
    for bit in range(MORTON_BITS):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return torch.argsort(code, stable=True)


def _largest_gradients(
    statistics: DensityStatistics, threshold: float, room: int
) -> Bool[Tensor, " n"]:
    """The Gaussians above the threshold, at most `room` of them: each adds one Gaussian."""
    gradient = statistics.gradient_sum / statistics.seen.clamp_min(1)
    wanted = gradient >= threshold
    if int(wanted.sum()) > max(room, 0):
        ranked = torch.argsort(gradient, descending=True, stable=True)[: max(room, 0)]
        wanted = torch.zeros_like(wanted)
        wanted[ranked] = True
    return wanted


def _scattered(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Halves of split Gaussians: drawn from their parents' distributions, and smaller."""
    drawn = torch.randn(parents.means.shape, generator=generator, device=generator.device)
    offsets = drawn.to(parents.means.device) * parents.scales
    rotated = (rotation_matrices(parents.quats) @ offsets[:, :, None])[:, :, 0]
    moved = {
        "means": parents.means + rotated,
        "log_scales": parents.log_scales - math.log(SPLIT_SHRINK),
    }
    return Gaussians(**(parents.tensors() | moved))
