"""Rendered segmentation features of a view, and where they are defined."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.gaussians import Gaussians
from splatseg.render import View, render

MIN_COVERAGE = 0.5  # alpha below this is background: too little of the scene was hit to name it
MIN_LENGTH = 1e-12  # of a rendered feature; only avoids 0 / 0


@dataclass(frozen=True)
class FeatureMap:
    """Unit features of every pixel; zero where nothing was hit."""

    features: Float[Tensor, "h w f"]
    covered: Bool[Tensor, "h w"]
    """Where alpha is at least MIN_COVERAGE."""


def feature_map(gaussians: Gaussians, view: View) -> FeatureMap:
    """Render F of Eq. 2 of arXiv:2404.12784 and normalise it per pixel."""
    with torch.no_grad():
        rendered = render(view, gaussians.features)
        return FeatureMap(F.normalize(rendered.image, dim=-1), rendered.alpha >= MIN_COVERAGE)


def view_similarity(
    gaussians: Gaussians, view: View, queries: Float[Tensor, "q f"]
) -> Float[Tensor, "h w"]:
    """`similarity_map` of a view, without making the normalised map."""
    with torch.no_grad():
        rendered = render(view, gaussians.features)
        planar = rendered.image.permute(2, 0, 1).flatten(1)
        # Channel by channel, within the cache: vector_norm takes forty times as long on a CPU.
        squares = torch.zeros_like(planar[0])
        for channel in planar:
            squares.addcmul_(channel, channel)
        best = (queries @ planar).amax(dim=0) / squares.sqrt_().clamp_min(MIN_LENGTH)
        best = best.unflatten(0, rendered.alpha.shape)
        return torch.where(rendered.alpha >= MIN_COVERAGE, best, -1.0)


def similarity_map(features: FeatureMap, queries: Float[Tensor, "q f"]) -> Float[Tensor, "h w"]:
    """The largest cosine of each pixel with the unit `queries`; -1 on background."""
    # One matrix product on the planar memory that rendering leaves behind: (q f) x (f pixels).
    planar = features.features.permute(2, 0, 1).flatten(1)
    best = (queries @ planar).amax(dim=0).unflatten(0, features.covered.shape)
    return torch.where(features.covered, best, -1.0)
