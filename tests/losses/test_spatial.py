"""Eq. 4 against a slow loop, its neighbors against brute force, and scenes of few Gaussians."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from splatseg.losses.spatial import (
    Neighbors,
    sample_neighbors,
    spatial_similarity,
    spatial_similarity_loss,
)

FLOAT64_TOLERANCE = 1e-10  # relative: means of up to 1e4 terms, each good to 1e-16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(count: int, channels: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    means = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return means, torch.randn(count, channels, generator=generator, dtype=torch.float64)


def slow_loss(features: Tensor, neighbors: Neighbors) -> float:
    """Eq. 4, pair by pair."""

    def term(others: Tensor, sign: float, offset: float) -> float:
        total, pairs = 0.0, 0
        for anchor, row in zip(neighbors.anchors.tolist(), others.tolist(), strict=True):
            for other in row:
                a, b = features[anchor].detach(), features[other].detach()
                cosine = float(a @ b / (a.norm() * b.norm()))
                total += 1 / (1 + math.exp(-(offset + sign * cosine)))
                pairs += 1
        return total / pairs if pairs else 0.0

    return 0.05 * term(neighbors.near, -1.0, 1.0) + 0.15 * term(neighbors.far, 1.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 60), anchors=st.integers(0, 20), seed=st.integers(0, 100))
def test_value_equals_the_slow_loop(count: int, anchors: int, seed: int) -> None:
    """Of few Gaussians, or none, too; the gradient is finite, of zero features as well."""
    means, features = scene(count, seed=seed)
    neighbors = sample_neighbors(means, anchors=anchors, generator=seeded(seed))
    loss = spatial_similarity(features.requires_grad_(), neighbors)
    assert loss.item() == pytest.approx(slow_loss(features, neighbors), rel=FLOAT64_TOLERANCE)
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.isfinite().all() and (len(neighbors.near.flatten()) or not gradient.any())
    zero = torch.zeros_like(features).requires_grad_()
    assert torch.autograd.grad(spatial_similarity(zero, neighbors), zero)[0].isfinite().all()


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(0, 40),
    near=st.integers(0, 5),
    far=st.integers(0, 5),
    candidates=st.integers(0, 50),
    seed=st.integers(0, 100),
)
def test_neighbors_equal_brute_force(count, near, far, candidates, seed) -> None:
    means, _ = scene(count, seed=seed)

    def sample(means: Tensor) -> Neighbors:
        limits = {"anchors": 10, "near": near, "far": far, "far_candidates": candidates}
        return sample_neighbors(means, **limits, generator=seeded(seed))

    found, again = sample(means), sample(means)
    assert all(map(torch.equal, vars(found).values(), vars(again).values()))
    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    for anchor, nearest, farthest in zip(found.anchors, found.near, found.far, strict=True):
        others = [i for i in distance[anchor].argsort().tolist() if i != anchor]
        assert nearest.tolist() == others[: len(nearest)]
        if candidates >= count:
            assert farthest.tolist() == others[::-1][: len(farthest)]
    for picked in (found, sample(0 * means)):  # clones start where their parent is
        assert len(picked.anchors) == len(picked.anchors.unique()) == min(10, count)
        for others, most in ((picked.near, near), (picked.far, far)):
            assert others.shape == (len(picked.anchors), min(most, max(count - 1, 0)))
            assert not (others == picked.anchors[:, None]).any()
            assert all(len(set(row)) == len(row) for row in others.tolist())


def test_farthest_come_from_the_outer_part_of_a_large_scene() -> None:
    means, _ = scene(5000)
    found = sample_neighbors(means, anchors=50, generator=seeded())
    distance = torch.cdist(means[found.anchors], means)
    quantile = distance.quantile(0.97, dim=1, keepdim=True)  # 5 of 1024 are the outer 0.5 %
    assert (distance.gather(1, found.far) > quantile).all()


def test_gradcheck_and_no_gradient_to_positions() -> None:
    means, features = scene(12)
    means.requires_grad_()
    features.requires_grad_()

    def loss(means: Tensor, features: Tensor) -> Tensor:
        return spatial_similarity_loss(means, features, anchors=5, generator=seeded())

    torch.autograd.gradcheck(lambda f: loss(means, f), features)
    (gradient,) = torch.autograd.grad(loss(means, features), means, allow_unused=True)
    assert gradient is None


def test_moving_the_scene_and_scaling_it_or_its_features_does_not_matter() -> None:
    means, features = scene(300)
    rotation, _ = torch.linalg.qr(scene(3, channels=3, seed=1)[0])
    moved = 2.5 * means @ rotation + torch.tensor([10.0, -4.0, 1.0], dtype=torch.float64)
    lengths = 0.1 + torch.rand(300, 1, generator=seeded(2), dtype=torch.float64)
    expected = spatial_similarity_loss(means, features, generator=seeded())
    found = spatial_similarity_loss(moved, features * lengths, generator=seeded())
    torch.testing.assert_close(found, expected)
