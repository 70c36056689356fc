"""Rendered segmentation features of a view, and where they are defined."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import ProjectedGaussians, backproject, project, rasterize
from splatseg.render.labels import MIN_COVERAGE

MIN_LENGTH = 1e-12  # of a rendered feature; only avoids 0 / 0


@dataclass(frozen=True)
class FeatureMap:
    """Unit features of every pixel; zero where nothing was hit."""

    features: Float[Tensor, "h w f"]
    covered: Bool[Tensor, "h w"]
    """Where alpha is at least MIN_COVERAGE."""


def require_features(gaussians: Gaussians) -> None:
    """Raise SplatsegError unless the Gaussians have segmentation features."""
    if gaussians.features.shape[1] == 0:
        raise SplatsegError(
            "the scene has no segmentation features (it was trained for colors only)",
            remedy="train it with masks first",
        )


def feature_map(gaussians: Gaussians, view: ProjectedGaussians) -> FeatureMap:
    """Render F of Eq. 2 of arXiv:2404.12784 and normalize it per pixel."""
    with torch.no_grad():
        rendered = rasterize(view, gaussians.features)
        unit = rendered.image / _lengths(rendered.image)[..., None]
        return FeatureMap(unit, rendered.alpha >= MIN_COVERAGE)


def view_aggregated_features(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    progress: Progress = SILENT,
    stage: str = "aggregating features",
    visit: Callable[[FeatureMap], None] = lambda features: None,
) -> Float[Tensor, "n f"]:
    """The unit feature that each Gaussian is seen under; 0 where none of `frames` sees it.

    The mean of the unit features of the pixels that show it, by blending weight. A Gaussian's own
    feature is only known through what it is blended with; this is what pixels show of it.

    Args:
        progress: told of `stage`, a step for each view.
        visit: given each view's map, so that it need not be rendered again.
    """
    total = torch.zeros_like(gaussians.features)
    for done, frame in enumerate(frames, start=1):
        view = project(gaussians, frame.camera, sh_degree=0)
        features = feature_map(gaussians, view)
        total += backproject(view, features.features)
        visit(features)
        progress.update(stage, done, len(frames))
    return F.normalize(total, dim=1)


def similarity_map(features: FeatureMap, queries: Float[Tensor, "q f"]) -> Float[Tensor, "h w"]:
    """The largest cosine of each pixel with the unit `queries`; -1 on background."""
    return torch.where(features.covered, _largest_product(features.features, queries), -1.0)


def _largest_product(
    image: Float[Tensor, "h w f"], queries: Float[Tensor, "q f"]
) -> Float[Tensor, "h w"]:
    # One matrix product on the planar memory that rendering leaves behind: (q f) x (f pixels).
    planar = image.permute(2, 0, 1).flatten(1)
    return (queries @ planar).amax(dim=0).unflatten(0, image.shape[:2])


def _lengths(image: Float[Tensor, "h w f"]) -> Float[Tensor, "h w"]:
    """Length of every pixel's vector, at least MIN_LENGTH.

    Channel by channel, within the cache: `vector_norm` takes forty times as long on a CPU.
    """
    squares = torch.zeros_like(image[..., 0])
    for channel in image.unbind(dim=-1):
        squares.addcmul_(channel, channel)
    return squares.sqrt_().clamp_min_(MIN_LENGTH)
