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
                a, b = features[anchor], features[other]
                cosine = float(a @ b / (a.norm() * b.norm()))
                total += 1 / (1 + math.exp(-(offset + sign * cosine)))
                pairs += 1
        return total / pairs if pairs else 0.0

    return 0.05 * term(neighbors.near, -1.0, 1.0) + 0.15 * term(neighbors.far, 1.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 60), anchors=st.integers(0, 20), seed=st.integers(0, 100))
def test_value_equals_the_slow_loop(count: int, anchors: int, seed: int) -> None:
    means, features = scene(count, seed=seed)
    neighbors = sample_neighbors(means, anchors=anchors, generator=seeded(seed))
    loss = spatial_similarity(features, neighbors)
    assert loss.item() == pytest.approx(slow_loss(features, neighbors), rel=FLOAT64_TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(0, 40),
    near=st.integers(0, 5),
    far=st.integers(0, 5),
    candidates=st.integers(0, 50),
    seed=st.integers(0, 100),
)
def test_neighbors_equal_brute_force(
    count: int, near: int, far: int, candidates: int, seed: int
) -> None:
    means, _ = scene(count, seed=seed)
    found = sample_neighbors(
        means, anchors=10, near=near, far=far, far_candidates=candidates, generator=seeded(seed)
    )
    assert len(found.anchors) == len(found.anchors.unique()) == min(10, count)
    assert found.near.shape == (len(found.anchors), min(near, max(count - 1, 0)))
    assert found.far.shape == (len(found.anchors), min(far, max(count - 1, 0)))

    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    everything = candidates >= count
    for anchor, nearest, farthest in zip(found.anchors, found.near, found.far, strict=True):
        others = [i for i in distance[anchor].argsort().tolist() if i != anchor]
        assert nearest.tolist() == others[: len(nearest)]
        assert anchor not in farthest
        assert len(set(farthest.tolist())) == len(farthest)
        if everything:
            assert farthest.tolist() == others[::-1][: len(farthest)]


@pytest.mark.parametrize("count", [2, 3, 7, 50])
def test_gaussians_in_one_place_are_neighbors_of_each_other_not_of_themselves(count: int) -> None:
    means = torch.zeros(count, 3)  # clones start where their parent is
    found = sample_neighbors(means, generator=seeded())
    for others in (found.near, found.far):
        assert not (others == found.anchors[:, None]).any()
        assert all(len(set(row)) == len(row) for row in others.tolist())


def test_farthest_come_from_the_outer_part_of_a_large_scene() -> None:
    means, _ = scene(5000)
    found = sample_neighbors(means, anchors=50, generator=seeded())
    distance = torch.cdist(means[found.anchors], means)
    quantile = distance.quantile(0.97, dim=1, keepdim=True)  # 5 of 1024 are the outer 0.5 %
    assert (distance.gather(1, found.far) > quantile).all()


@pytest.mark.parametrize("count", [0, 1])
def test_without_pairs_the_loss_is_a_differentiable_zero(count: int) -> None:
    means, features = scene(count)
    features.requires_grad_()
    loss = spatial_similarity_loss(means, features, generator=seeded())
    loss.backward()
    assert loss == 0
    assert features.grad is not None
    assert not features.grad.any()


@pytest.mark.parametrize("count", [2, 5])
def test_few_gaussians_use_the_pairs_there_are(count: int) -> None:
    means, _ = scene(count)
    features = torch.ones(count, 4, dtype=torch.float64)  # cosine 1 everywhere
    loss = spatial_similarity_loss(means, features, generator=seeded())
    expected = 0.05 * 0.5 + 0.15 / (1 + math.exp(-1))
    assert loss.item() == pytest.approx(expected, rel=FLOAT64_TOLERANCE)


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


def test_the_loss_falls_when_near_agree_and_far_differ() -> None:
    means = torch.cat([torch.zeros(20, 3), torch.full((20, 3), 100.0)])
    means += scene(40)[0].float()
    sides = torch.eye(2).repeat_interleave(20, dim=0)
    apart = spatial_similarity_loss(means, sides, generator=seeded())
    mixed = spatial_similarity_loss(means, sides.roll(10, dims=0), generator=seeded())
    alike = spatial_similarity_loss(means, torch.ones(40, 2), generator=seeded())
    assert apart < mixed < alike


def test_zero_features_give_finite_gradients() -> None:
    means, features = scene(20)
    zero = torch.zeros_like(features).requires_grad_()
    loss = spatial_similarity_loss(means, zero, generator=seeded())
    loss.backward()
    assert loss.item() == pytest.approx(0.05 / (1 + math.exp(-1)) + 0.15 * 0.5)
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_a_seed_decides_the_sample() -> None:
    means, _ = scene(500)
    one, same, other = (
        sample_neighbors(means, anchors=50, generator=seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.far, same.far)
    assert not torch.equal(one.anchors, other.anchors)
