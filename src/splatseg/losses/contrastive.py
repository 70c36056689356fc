"""Contrastive clustering of rendered features: Eq. 3 of arXiv:2404.12784.

For the segments p = 1..S of one view, with pixels q and unit features f_q, the loss is
-(1/S) Σ_p Σ_q log softmax_s(f_q · f_bar_s / phi_s)[p]: a sum over pixels and a mean over segments,
so it grows with resolution. f_bar_s is the mean unit feature of segment s, not normalized again;
its gradient flows. phi_s is the segment's temperature and is a constant to the gradient.

Labels are one id per pixel, non-negative; 0 is unlabeled. Memory is linear in the largest id.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from splatseg.losses.config import Temperature
from splatseg.losses.term import LossInputs, LossTerm
from splatseg.render import rasterize

MIN_PIXELS = 100  # the paper keeps segments with more pixels than this
COUNT_OFFSET = 100.0  # epsilon in phi: keeps the logarithm away from 0 for small segments
MIN_PRINTED_TEMPERATURE = 1e-3  # identical pixels give phi = 0, and logits divided by it
CODE_TEMPERATURE_SCALE = 10.0  # these three are in the authors' code, not in the paper
CODE_TEMPERATURE_RANGE = (0.1, 1.0)
# A pixel that no Gaussian covers has F = 0 and no direction: it stays 0, with a bounded gradient.
# A covered pixel is far longer: rasterizers skip alpha below 1/255.
MIN_FEATURE_NORM = 1e-6
CHUNK = 4096  # pixels at once: with 60 segments, 1 MB of logits, which one core's cache holds


def contrastive_loss(
    features: Float[Tensor, "p f"],
    labels: Int[Tensor, " p"],
    *,
    temperature: Temperature = "code",
    min_pixels: int = MIN_PIXELS,
) -> Float[Tensor, ""]:
    """Pull the pixels of a segment together and the segments of a view apart.

    `features` as rendered, any length; scaling a pixel changes nothing. Pixels with label 0, or in
    segments of `min_pixels` pixels or fewer, are dropped. Without a segment the loss is 0, with a
    zero gradient; with one it is 0 as well, for there is nothing to contrast.
    Deterministic on a CPU; CUDA adds up a segment in any order, so its last digits vary.
    """
    segments, count = usable_segments(labels, min_pixels)
    if count == 0:
        return features.sum() * 0.0
    loss: Tensor = _ContrastiveSum.apply(features, segments, count, temperature)
    return loss / count


def contrastive_term(
    *,
    weight: float,
    interval: int,
    temperature: Temperature = "code",
    min_pixels: int = MIN_PIXELS,
    to_geometry: bool = True,
    to_density: bool = True,
) -> LossTerm:
    """Eq. 3 on rendered features; 0 for a frame without masks."""

    def evaluate(inputs: LossInputs) -> Float[Tensor, ""]:
        labels = inputs.observations.labels(inputs.frame)
        if labels is None:
            return inputs.gaussians.features.new_zeros(())
        features = rasterize(inputs.projected, inputs.gaussians.features).image
        return contrastive_loss(
            features.flatten(0, 1),
            labels.flatten().to(features.device),
            temperature=temperature,
            min_pixels=min_pixels,
        )

    return LossTerm(
        "contrastive",
        evaluate,
        weight=weight,
        interval=interval,
        to_geometry=to_geometry,
        to_density=to_density,
    )


def usable_segments(labels: Int[Tensor, " p"], min_pixels: int) -> tuple[Int[Tensor, " p"], int]:
    """Number the segments of more than `min_pixels` pixels from 0, by ascending id.

    Returns each pixel's number and how many segments there are; that many is also the number of
    every dropped pixel, so that it falls into one spare row after the segments.
    """
    labels = labels.long()  # only some of the integer types can be an index
    usable = torch.bincount(labels, minlength=1) > min_pixels
    usable[0] = False
    count = int(usable.sum())
    number = torch.where(usable, usable.cumsum(0) - 1, count)
    return number[labels], count


def segment_statistics(
    unit: Float[Tensor, "p f"], segments: Int[Tensor, " p"], count: int
) -> tuple[Float[Tensor, "s f"], Float[Tensor, " s"], Float[Tensor, " s"]]:
    """Centroid, mean distance to the centroid, and pixel count, by segment."""
    pixels = torch.bincount(segments, minlength=count + 1).to(unit.dtype)
    rows = pixels.clamp_min(1.0)  # the spare row may be empty: no 0 / 0
    centroids = unit.new_zeros(count + 1, unit.shape[1]).index_add_(0, segments, unit)
    centroids /= rows[:, None]
    chunks = zip(unit.split(CHUNK), segments.split(CHUNK), strict=True)
    distance = torch.cat([_lengths(x - centroids[segment])[:, 0] for x, segment in chunks])
    spread = unit.new_zeros(count + 1).index_add_(0, segments, distance) / rows
    return centroids[:count], spread[:count], pixels[:count]


def _lengths(rows: Float[Tensor, "p f"]) -> Float[Tensor, "p 1"]:
    """Lengths of the rows; `torch.linalg.vector_norm` takes ten times as long on a CPU."""
    return rows.square().sum(dim=1, keepdim=True).sqrt_()


def temperatures(
    spread: Float[Tensor, " s"], pixels: Float[Tensor, " s"], kind: Temperature
) -> Float[Tensor, " s"]:
    """phi of Eq. 3 as `printed`, or as the authors' `code` has it: ten times that, then clipped."""
    phi = spread / torch.log(pixels + COUNT_OFFSET)
    if kind == "printed":
        return phi.clamp_min(MIN_PRINTED_TEMPERATURE)
    return (CODE_TEMPERATURE_SCALE * phi).clamp(*CODE_TEMPERATURE_RANGE)


class _ContrastiveSum(torch.autograd.Function):
    """Σ_q -log softmax_s(f_q · f_bar_s / phi_s)[segment of q], over the pixels that have a segment.

    The gradient with respect to the logits is softmax - onehot, so the pass over the pixels that
    yields the loss yields the gradient too, a chunk at a time: the [pixels × segments] logits, 480
    MB for 600k pixels and 200 segments, never exist at once. Autograd, which keeps them, takes 1.6
    (40 segments) to 3 times as long (200) on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Float[Tensor, "p f"],
        segments: Int[Tensor, " p"],
        count: int,
        temperature: Temperature,
    ) -> Float[Tensor, ""]:
        norm = _lengths(features)
        unit = features / norm.clamp_min(MIN_FEATURE_NORM)
        centroids, spread, pixels = segment_statistics(unit, segments, count)
        phi = temperatures(spread, pixels, temperature)[:, None]
        loss, grad, weights_grad = softmax_loss(unit, centroids / phi, segments)
        # Through the centroids: a pixel is 1 / N_s of its segment's; the spare row has none.
        through_centroids = F.pad(weights_grad / (phi * pixels[:, None]), (0, 0, 0, 1))
        columns = (unit, norm, segments, grad)
        for u, length, segment, g in zip(*(c.split(CHUNK) for c in columns), strict=True):
            g += through_centroids[segment]
            # Through the normalization, which is a plain division where its length is clamped.
            g -= u * (u * g).sum(dim=1, keepdim=True) * (length > MIN_FEATURE_NORM)
            g /= length.clamp_min(MIN_FEATURE_NORM)
        ctx.save_for_backward(grad)
        return loss

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Float[Tensor, ""]
    ) -> tuple[Tensor, None, None, None]:
        (features_grad,) = ctx.saved_tensors
        return grad * features_grad, None, None, None


def softmax_loss(
    unit: Float[Tensor, "p f"], weights: Float[Tensor, "s f"], segments: Int[Tensor, " p"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "p f"], Float[Tensor, "s f"]]:
    """Σ_q -log softmax(unit_q · weightsᵀ)[segment_q], and its gradients to `unit` and `weights`."""
    count = len(weights)
    loss = unit.new_zeros(())
    unit_grad, weights_grad = torch.empty_like(unit), torch.zeros_like(weights)
    columns = (unit, segments, unit_grad)
    for x, segment, x_grad in zip(*(c.split(CHUNK) for c in columns), strict=True):
        kept = (segment < count).to(unit.dtype)[:, None]
        target = segment.clamp_max(count - 1)[:, None]
        log_softmax = (x @ weights.T).log_softmax(dim=1)
        loss -= (log_softmax.gather(1, target) * kept).sum()
        logits_grad = log_softmax.exp_().scatter_add_(1, target, -torch.ones_like(kept))
        logits_grad *= kept
        torch.mm(logits_grad, weights, out=x_grad)
        weights_grad.addmm_(logits_grad.T, x)
    return loss, unit_grad, weights_grad
