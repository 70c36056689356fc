"""Spatial-similarity regularization: Eq. 4 of arXiv:2404.12784.

Over M sampled Gaussians (anchors) with K nearest and L farthest others in 3D, and H the sigmoid,
lambda_near / (M K) Σ H(1 - f_j · f_i) + lambda_far / (M L) Σ H(f_j · f_i), where f_j · f_i is the
cosine of two Gaussians' features. Positions choose the pairs and get no gradient.

The authors' code lets an anchor be its own nearest neighbor and takes the sigmoid of the mean
cosine; this is the equation as printed. The farthest of all Gaussians are the same few outliers of
a scene for every anchor, so the farthest here are those of a random candidate set.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from splatseg.losses.term import LossInputs, LossTerm

ANCHORS = 1000
NEAR = 2
FAR = 5
FAR_CANDIDATES = 1024  # the farthest 5 then lie in the outer 0.5 %, for 1 M distances a call
LAMBDA_NEAR = 0.05
LAMBDA_FAR = 0.15


@dataclass(frozen=True)
class Neighbors:
    """Indices of Gaussians: `anchors`, and for each its `near`est and `far`thest others."""

    anchors: Int[Tensor, " m"]
    near: Int[Tensor, "m k"]
    far: Int[Tensor, "m l"]


def spatial_similarity_loss(
    means: Float[Tensor, "n 3"],
    features: Float[Tensor, "n f"],
    *,
    anchors: int = ANCHORS,
    near: int = NEAR,
    far: int = FAR,
    far_candidates: int = FAR_CANDIDATES,
    lambda_near: float = LAMBDA_NEAR,
    lambda_far: float = LAMBDA_FAR,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Eq. 4 on a fresh sample: near Gaussians alike, far ones different. See `spatial_similarity`.

    `generator` is a CPU one whatever the device of `means`, so that a seed gives one sample.
    """
    neighbors = sample_neighbors(
        means,
        anchors=anchors,
        near=near,
        far=far,
        far_candidates=far_candidates,
        generator=generator,
    )
    return spatial_similarity(features, neighbors, lambda_near=lambda_near, lambda_far=lambda_far)


def spatial_term(
    *,
    near_weight: float = LAMBDA_NEAR,
    far_weight: float = LAMBDA_FAR,
    interval: int,
    anchors: int = ANCHORS,
) -> LossTerm:
    """Eq. 4 on a sample of Gaussians; only features get its gradient."""

    def evaluate(inputs: LossInputs) -> Float[Tensor, ""]:
        return spatial_similarity_loss(
            inputs.gaussians.means,
            inputs.gaussians.features,
            anchors=anchors,
            lambda_near=near_weight,
            lambda_far=far_weight,
            generator=inputs.generator("spatial"),
        )

    is_on = near_weight > 0 or far_weight > 0
    return LossTerm(
        "spatial",
        evaluate,
        weight=1.0 if is_on else 0.0,
        interval=interval,
        to_geometry=False,
        to_density=False,
    )


def spatial_similarity(
    features: Float[Tensor, "n f"],
    neighbors: Neighbors,
    *,
    lambda_near: float = LAMBDA_NEAR,
    lambda_far: float = LAMBDA_FAR,
) -> Float[Tensor, ""]:
    """Eq. 4 on given pairs. A term without pairs is 0; a zero feature has cosine 0 with any."""
    others = torch.cat([neighbors.near, neighbors.far], dim=1)
    pairs = torch.cat([neighbors.anchors[:, None], others], dim=1)
    unit = F.normalize(features[pairs], dim=2)  # one gather: its gradient is as large as the scene
    cosine = (unit[:, :1] * unit[:, 1:]).sum(dim=2)
    near, far = cosine.split([neighbors.near.shape[1], neighbors.far.shape[1]], dim=1)
    return lambda_near * _mean(torch.sigmoid(1.0 - near)) + lambda_far * _mean(torch.sigmoid(far))


def sample_neighbors(
    means: Float[Tensor, "n 3"],
    *,
    anchors: int = ANCHORS,
    near: int = NEAR,
    far: int = FAR,
    far_candidates: int = FAR_CANDIDATES,
    generator: torch.Generator,
) -> Neighbors:
    """Draw anchors without replacement; find their nearest and farthest others.

    The nearest are exact. Of n Gaussians, at most n are anchors, and an anchor has at most n - 1
    neighbors of a kind: one Gaussian has none, and none gives three empty tensors.
    """
    points = means.detach().to("cpu", torch.float64)
    count = len(points)
    chosen = torch.randperm(count, generator=generator)[:anchors]
    # One candidate more than wanted, at least, for an anchor may itself be among them.
    candidates = torch.randperm(count, generator=generator)[: max(far_candidates, far + 1)]
    indices = (
        chosen,
        _nearest(points, chosen, min(near, max(count - 1, 0))),
        _farthest(points, chosen, candidates, min(far, max(len(candidates) - 1, 0))),
    )
    return Neighbors(*(index.to(means.device) for index in indices))


def _nearest(
    points: Float[Tensor, "n 3"], anchors: Int[Tensor, " m"], count: int
) -> Int[Tensor, "m {count}"]:
    """The `count` nearest others of each anchor, nearest first."""
    if count == 0:
        return anchors.new_empty(len(anchors), 0)
    # One query does not repay a balanced tree, which takes two to three times as long to build.
    tree = KDTree(points.numpy(), balanced_tree=False, compact_nodes=False)
    _, rows = tree.query(points[anchors].numpy(), k=count + 1)
    found = torch.from_numpy(rows)
    # An anchor need not come first, nor at all, among copies of itself: then drop the last.
    is_self = found == anchors[:, None]
    is_self[:, -1] |= ~is_self.any(dim=1)
    return found[~is_self].reshape(-1, count)


def _farthest(
    points: Float[Tensor, "n 3"],
    anchors: Int[Tensor, " m"],
    candidates: Int[Tensor, " c"],
    count: int,
) -> Int[Tensor, "m {count}"]:
    """The `count` candidates farthest from each anchor, farthest first."""
    distance = torch.cdist(points[anchors], points[candidates])
    distance[anchors[:, None] == candidates] = -1.0  # itself comes after any copy of it
    return candidates[distance.topk(count, dim=1).indices]


def _mean(values: Float[Tensor, "m k"]) -> Float[Tensor, ""]:
    """The mean; 0 with a graph, and not NaN, where there are no values."""
    return values.sum() / max(values.numel(), 1)
