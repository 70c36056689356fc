"""Which of some labels each pixel shows, where every Gaussian has one."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.render import View, engine, native, render, splat

MIN_COVERAGE = 0.5  # alpha below this is background: too little of the scene was hit to name it
CHANNELS_AT_ONCE = 16  # labels blended or splatted in one pass


def label_image(view: View, labels: Int[Tensor, " n"]) -> Int[Tensor, "h w"]:
    """The label with most blending weight at every pixel; 0 on background.

    Label 0 takes part like any other, so that it shows where Gaussians without an object prevail.
    """
    blend = native.blend_labels if isinstance(view.bins, engine.Bins) else blend_labels
    shown, alpha = blend(view, labels)
    return torch.where(alpha >= MIN_COVERAGE, shown, 0)


def blend_labels(
    view: View, labels: Int[Tensor, " n"]
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """The label with most blending weight, 0 where nothing was hit; and alpha. On any backend."""
    count = int(labels.max()) + 1 if len(labels) else 1
    size = (view.camera.height, view.camera.width)
    best, alpha = torch.zeros(2, *size, device=labels.device)
    winner = torch.zeros(size, dtype=torch.long, device=labels.device)
    for first in range(0, count, CHANNELS_AT_ONCE):
        ids = torch.arange(first, min(first + CHANNELS_AT_ONCE, count), device=labels.device)
        with torch.no_grad():
            rendered = render(view, (labels[:, None] == ids).float())
        weight, index = rendered.image.max(dim=-1)
        better = weight > best
        best, winner = torch.where(better, weight, best), torch.where(better, index + first, winner)
        alpha = rendered.alpha
    return winner, alpha


def splat_labels(view: View, label_map: Int[Tensor, "h w"], count: int) -> Float[Tensor, "n c"]:
    """Votes: how much blending weight each Gaussian has on pixels of each label below `count`."""
    votes = []
    for first in range(0, count, CHANNELS_AT_ONCE):
        last = min(first + CHANNELS_AT_ONCE, count)
        ids = torch.arange(first, last, device=label_map.device)
        votes.append(splat(view, (label_map[..., None] == ids).float()))
    return torch.cat(votes, dim=1)
