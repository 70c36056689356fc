"""Density control against a slow loop, and the order and origin of what it returns."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians
from splatseg.training.config import DensityConfig
from splatseg.training.density import (
    RESET_OPACITY,
    SPLIT_SHRINK,
    DensifyResult,
    DensityStatistics,
    densify,
    morton_order,
    reset_opacities,
)

CONFIG = DensityConfig()
EXTENT = 4.0
SPLIT_SIZE = CONFIG.split_scale * EXTENT
MAX_SIZE = CONFIG.max_scale * EXTENT


def scene(count: int, seed: int = 0) -> Gaussians:
    """Widths on both sides of the split size and of the maximum, some too faint to stay."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3),
        quats=normal(count, 4),
        log_scales=math.log(SPLIT_SIZE) - 0.5 + normal(count, 3),
        logit_opacities=-4.0 + 3.0 * normal(count),
        sh=normal(count, 4, 3),
        features=normal(count, 5),
    )


def statistics(count: int, seed: int = 0) -> DensityStatistics:
    """About half of the Gaussians above the threshold; some never seen."""
    generator = torch.Generator().manual_seed(seed + 1)
    seen = torch.randint(0, 4, (count,), generator=generator).float()
    mean = 2 * CONFIG.threshold * torch.rand(count, generator=generator)
    return DensityStatistics(mean * seen, seen)


def run(
    gaussians: Gaussians, stats: DensityStatistics, room: int = 10**9, prune_large: bool = False
) -> DensifyResult:
    return densify(
        gaussians,
        stats,
        CONFIG,
        extent=EXTENT,
        max_gaussians=len(gaussians) + room,
        prune_large=prune_large,
        generator=torch.Generator().manual_seed(0),
    )


def slow_loop(
    gaussians: Gaussians, stats: DensityStatistics, room: int, prune_large: bool
) -> dict[tuple[int, bool], str]:
    """What happened to each (old index, is new) after a round, one at a time."""
    count = len(gaussians)
    mean = [(stats.gradient_sum[i] / stats.seen[i].clamp_min(1)).item() for i in range(count)]
    wanted = [i for i in range(count) if mean[i] >= CONFIG.threshold]
    wanted = sorted(wanted, key=lambda i: -mean[i])[: max(0, room)]
    fates = {}
    for i in range(count):
        width = gaussians.scales[i].max().item()
        children = {(i, False): "kept"}
        if i in wanted and width > SPLIT_SIZE:
            children = {(i, True): "half"}
            width /= SPLIT_SHRINK
        elif i in wanted:
            children |= {(i, True): "clone"}
        faint = gaussians.opacities[i] < CONFIG.min_opacity
        if not faint and not (prune_large and width > MAX_SIZE):
            fates |= children
    return fates


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    seed=st.integers(0, 1000),
    room=st.sampled_from([-5, 0, 1, 3, 1000]),
    prune_large=st.booleans(),
)
@example(count=40, seed=0, room=1000, prune_large=True)
def test_clones_splits_and_prunes_like_a_slow_loop(count, seed, room, prune_large) -> None:
    gaussians, stats = scene(count, seed), statistics(count, seed)
    before = [tensor.clone() for tensor in gaussians]
    result = run(gaussians, stats, room, prune_large)
    fates = slow_loop(gaussians, stats, room, prune_large)
    actual = list(zip(result.source.tolist(), result.is_new.tolist(), strict=True))
    expected = [key for key, fate in fates.items() for _ in range(2 if fate == "half" else 1)]
    assert sorted(actual) == sorted(expected)
    assert len(actual) <= max(count, count + room)
    if (count, seed, room) == (40, 0, 1000):
        assert set(fates.values()) == {"kept", "clone", "half"}
    for row, key in enumerate(actual):
        parent = gaussians.select(torch.tensor([key[0]]))
        child = result.gaussians.select(torch.tensor([row]))
        for name in ("quats", "logit_opacities", "sh", "features"):
            assert torch.equal(getattr(child, name), getattr(parent, name))
        if fates[key] == "half":
            torch.testing.assert_close(child.scales, parent.scales / SPLIT_SHRINK)
        else:
            assert torch.equal(child.means, parent.means)
            assert torch.equal(child.log_scales, parent.log_scales)
    assert torch.equal(morton_order(result.gaussians.means), torch.arange(len(actual)))
    again = run(gaussians, stats, room, prune_large).gaussians
    assert torch.equal(again.means, result.gaussians.means)
    assert all(map(torch.equal, gaussians, before)), "the Gaussians given stay as they were"


def test_halves_are_drawn_from_their_parents_distribution() -> None:
    """Whitened by the parent's rotation and widths, 4000 draws have mean 0 and covariance 1."""
    count = 2000
    parent = scene(1)
    parent.log_scales[:] = torch.log(torch.tensor([0.05, 0.2, 1.0]))
    parent.logit_opacities[:] = 0.0
    stats = DensityStatistics(torch.ones(count), torch.ones(count))
    halves = run(parent.select(torch.zeros(count, dtype=torch.long)), stats).gaussians
    rotation = Rotation.from_quat(parent.quats[0].roll(-1).numpy()).as_matrix()
    white = (halves.means - parent.means) @ torch.from_numpy(rotation).float() / parent.scales
    standard_error = 1 / math.sqrt(2 * count)
    assert len(white) == 2 * count
    assert white.mean(dim=0).abs().max() < 5 * standard_error
    assert (white.T.cov() - torch.eye(3)).abs().max() < 5 * math.sqrt(2) * standard_error


def test_nan_gaussians_are_pruned_with_the_faint() -> None:
    gaussians = scene(5)
    gaussians.logit_opacities[:] = 0.0
    gaussians.logit_opacities[2] = math.nan
    result = run(gaussians, DensityStatistics.zeros(5))
    assert sorted(result.source.tolist()) == [0, 1, 3, 4]


def test_statistics_are_means_over_the_views_that_saw_a_gaussian() -> None:
    """In normalized image coordinates: a pixel is 2 / width wide and 2 / height high."""
    stats = DensityStatistics.zeros(3)
    first, second = [[3.0, 0.0], [0.0, 1.0], [5.0, 5.0]], [[0.06, 0.16], [9.0, 9.0], [7.0, 7.0]]
    stats.add(torch.tensor(first), torch.tensor([True, True, False]), (200, 100))
    stats.add(torch.tensor(second), torch.tensor([True, False, False]), (100, 50))
    assert stats.seen.tolist() == [2, 1, 0]
    expected = [300 + math.hypot(0.06 * 50, 0.16 * 25), 50, 0]
    assert stats.gradient_sum.tolist() == pytest.approx(expected)


def test_opacities_are_lowered_and_never_raised() -> None:
    logits = torch.tensor([-10.0, -4.7, 0.0, 20.0])
    expected = torch.sigmoid(logits).clamp_max(RESET_OPACITY)
    torch.testing.assert_close(torch.sigmoid(reset_opacities(logits)), expected)
    assert logits.tolist() == pytest.approx([-10.0, -4.7, 0.0, 20.0])
    assert reset_opacities(torch.empty(0)).shape == (0,)


def test_morton_order_is_the_interleaved_bits() -> None:
    """On a grid, by hand: x is the lowest bit of each three, then y, then z."""
    grid = torch.cartesian_prod(*[torch.arange(8)] * 3)
    shuffled = grid[torch.randperm(512, generator=torch.manual_seed(0))]
    # 0..1023 in steps of 1023 / 7 lies in cells whose three highest bits are the index.
    order = morton_order(shuffled.float())
    assert sorted(order.tolist()) == list(range(512))
    codes = [
        sum((p[a] >> k & 1) << 3 * k + a for k in range(3) for a in range(3))
        for p in shuffled[order].tolist()
    ]
    assert codes == sorted(codes)


def test_morton_order_does_not_depend_on_place_or_size() -> None:
    means = torch.rand(100, 3, generator=torch.manual_seed(0), dtype=torch.float64)
    assert torch.equal(morton_order(64 * means + 2.0), morton_order(means))
    assert sorted(morton_order(0 * means).tolist()) == list(range(100))
