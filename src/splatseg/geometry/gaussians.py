"""The one scene type: a set of 3D Gaussians with appearance and segmentation features.

Stored values live in the space they are optimized in and say so: `log_scales` (natural log of the
standard deviations, world units), `logit_opacities`, `quats` (wxyz, any length but zero). `sh`
holds the spherical-harmonic coefficients of color, DC first; color = 0.5 + Σ basis · coefficient.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians; every field has N rows. `sh` has (degree + 1)² coefficients a channel."""

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    log_scales: Float[Tensor, "n 3"]
    logit_opacities: Float[Tensor, " n"]
    sh: Float[Tensor, "n k 3"]
    features: Float[Tensor, "n f"]

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def sh_degree(self) -> int:
        """0 to 3."""
        return int(self.sh.shape[1] ** 0.5) - 1

    @property
    def opacities(self) -> Float[Tensor, " n"]:
        """Opacity in (0, 1)."""
        return torch.sigmoid(self.logit_opacities)

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """Standard deviations along the Gaussian's own axes, world units."""
        return torch.exp(self.log_scales)

    @property
    def footprints(self) -> Float[Tensor, " n"]:
        """Opacity times the area of the broad side, its ellipse of one standard deviation.

        In float64: a scene's largest and smallest areas are many orders of magnitude apart.
        """
        two_largest = self.scales.double().topk(2, dim=1).values
        return self.opacities.double() * math.pi * two_largest.prod(dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Field name to tensor, in declaration order."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors().values())

    def select(self, index: Int[Tensor, " m"] | Bool[Tensor, " n"]) -> "Gaussians":
        """The Gaussians at `index`, in that order."""
        return Gaussians(**{name: t[index] for name, t in self.tensors().items()})

    def detach(self) -> "Gaussians":
        """The same values without an autograd history."""
        return Gaussians(**{name: t.detach() for name, t in self.tensors().items()})

    def to(self, *args: object, **kwargs: object) -> "Gaussians":
        """Every tensor moved or cast, as `Tensor.to` does."""
        return Gaussians(**{name: t.to(*args, **kwargs) for name, t in self.tensors().items()})  # type: ignore[arg-type]


def concatenate(parts: list[Gaussians]) -> Gaussians:
    """All Gaussians of `parts`, in order; the parts agree in SH degree and feature size."""
    names = parts[0].tensors()
    return Gaussians(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})
