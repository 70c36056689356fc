"""Which of some labels each pixel shows, where every Gaussian has one."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.render.backend import ProjectedGaussians

MIN_COVERAGE = 0.5  # alpha below this is background: too little of the scene was hit to name it
CHANNELS_AT_ONCE = 16  # labels rasterized or backprojected in one pass


def label_image(projected: ProjectedGaussians, labels: Int[Tensor, " n"]) -> Int[Tensor, "h w"]:
    """The label with most blending weight at every pixel; 0 on background.

    Label 0 takes part like any other, so that it shows where Gaussians without an object prevail.
    """
    shown, alpha = projected.backend.rasterize_labels(projected, labels)
    return torch.where(alpha >= MIN_COVERAGE, shown, 0)


def rasterize_labels(
    projected: ProjectedGaussians, labels: Int[Tensor, " n"]
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """`Backend.rasterize_labels` by one-hot channels: for backends that have no kernel for it."""
    count = int(labels.max()) + 1 if len(labels) else 1
    size = (projected.camera.height, projected.camera.width)
    best, alpha = torch.zeros(2, *size, device=labels.device)
    winner = torch.zeros(size, dtype=torch.long, device=labels.device)
    for first in range(0, count, CHANNELS_AT_ONCE):
        ids = torch.arange(first, min(first + CHANNELS_AT_ONCE, count), device=labels.device)
        one_hot = (labels[:, None] == ids).to(projected.opacities)
        with torch.no_grad():
            image, alpha = projected.backend.rasterize(projected, one_hot, None)
        weight, index = image.max(dim=-1)
        better = weight > best
        best, winner = torch.where(better, weight, best), torch.where(better, index + first, winner)
    return winner, alpha


def backproject_labels(
    projected: ProjectedGaussians, label_map: Int[Tensor, "h w"], count: int
) -> Float[Tensor, "n c"]:
    """Votes: how much blending weight each Gaussian has on pixels of each label below `count`."""
    votes = []
    for first in range(0, count, CHANNELS_AT_ONCE):
        last = min(first + CHANNELS_AT_ONCE, count)
        ids = torch.arange(first, last, device=label_map.device)
        one_hot = (label_map[..., None] == ids).float()
        with torch.no_grad():
            votes.append(projected.backend.backproject(projected, one_hot, None))
    return torch.cat(votes, dim=1)
