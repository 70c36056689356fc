"""Density control against a slow loop, and the order and origin of what it returns."""

import math

import pytest
import torch
from hypothesis import given, settings
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
UNLIMITED = 10**9


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
    gaussians: Gaussians,
    stats: DensityStatistics,
    max_gaussians: int = UNLIMITED,
    prune_large: bool = False,
    config: DensityConfig = CONFIG,
    seed: int = 0,
) -> DensifyResult:
    return densify(
        gaussians,
        stats,
        config,
        extent=EXTENT,
        max_gaussians=max_gaussians,
        prune_large=prune_large,
        generator=torch.Generator().manual_seed(seed),
    )


def expected_origins(
    gaussians: Gaussians, stats: DensityStatistics, max_gaussians: int, prune_large: bool
) -> list[tuple[int, bool, str]]:
    """(old index, is new, what happened) of every Gaussian after a round, one at a time."""
    count = len(gaussians)
    mean = {
        i: stats.gradient_sum[i].item() / stats.seen[i].item() if stats.seen[i] > 0 else 0.0
        for i in range(count)
    }
    wanted = sorted((i for i in mean if mean[i] >= CONFIG.threshold), key=lambda i: -mean[i])
    wanted = set(wanted[: max(0, max_gaussians - count)])
    result = []
    for i in range(count):
        width = gaussians.scales[i].max().item()
        if i not in wanted:
            children = [(i, False, "kept")]
        elif width > SPLIT_SIZE:
            children = [(i, True, "half"), (i, True, "half")]
            width /= SPLIT_SHRINK
        else:
            children = [(i, False, "kept"), (i, True, "clone")]
        faint = gaussians.opacities[i] < CONFIG.min_opacity
        if not faint and not (prune_large and width > MAX_SIZE):
            result += children
    return result


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 40),
    seed=st.integers(0, 1000),
    room=st.sampled_from([-5, 0, 1, 3, 1000]),
    prune_large=st.booleans(),
)
def test_clones_splits_and_prunes_like_a_slow_loop(
    count: int, seed: int, room: int, prune_large: bool
) -> None:
    gaussians, stats = scene(count, seed), statistics(count, seed)
    before = {name: t.clone() for name, t in gaussians.tensors().items()}
    result = run(gaussians, stats, count + room, prune_large)
    expected = expected_origins(gaussians, stats, count + room, prune_large)
    actual = list(zip(result.source.tolist(), result.is_new.tolist(), strict=True))
    assert sorted(actual) == sorted((source, is_new) for source, is_new, _ in expected)
    assert len(result.gaussians) <= max(count, count + room)

    fate = {(source, is_new): what for source, is_new, what in expected}
    for row, key in enumerate(actual):
        parent = gaussians.select(torch.tensor([key[0]]))
        child = result.gaussians.select(torch.tensor([row]))
        for name in ("quats", "logit_opacities", "sh", "features"):
            assert torch.equal(getattr(child, name), getattr(parent, name))
        if fate[key] == "half":
            torch.testing.assert_close(child.scales, parent.scales / SPLIT_SHRINK)
        else:
            assert torch.equal(child.means, parent.means)
            assert torch.equal(child.log_scales, parent.log_scales)
    for name, tensor in gaussians.tensors().items():
        assert torch.equal(tensor, before[name]), "the Gaussians given stay as they were"


def test_all_three_fates_occur_in_the_scenes_above() -> None:
    expected = expected_origins(scene(40), statistics(40), UNLIMITED, True)
    assert {what for _, _, what in expected} == {"kept", "clone", "half"}
    assert len({source for source, _, _ in expected}) < 40, "some are pruned"


def test_the_largest_gradients_win_the_room_there_is() -> None:
    gaussians = scene(6)
    gaussians.logit_opacities[:] = 0.0
    gradient = torch.tensor([3.0, 9.0, 1.0, 7.0, 0.1, 8.0]) * CONFIG.threshold
    stats = DensityStatistics(2 * gradient, torch.full((6,), 2.0))
    result = run(gaussians, stats, max_gaussians=8)
    assert len(result.gaussians) == 8
    assert set(result.source[result.is_new].tolist()) == {1, 5}


def test_a_limit_below_what_is_there_removes_nothing() -> None:
    gaussians = scene(10)
    gaussians.logit_opacities[:] = 0.0
    result = run(gaussians, statistics(10), max_gaussians=4)
    assert sorted(result.source.tolist()) == list(range(10))
    assert not result.is_new.any()


def test_halves_are_drawn_from_their_parents_distribution() -> None:
    """Whitened by the parent's rotation and widths, 4000 draws have mean 0 and covariance 1."""
    count = 2000
    parent = scene(1)
    parent.log_scales[:] = torch.log(torch.tensor([0.05, 0.2, 1.0]))
    parent.logit_opacities[:] = 0.0
    gaussians = parent.select(torch.zeros(count, dtype=torch.long))
    stats = DensityStatistics(torch.ones(count), torch.ones(count))
    result = run(gaussians, stats)
    assert len(result.gaussians) == 2 * count and bool(result.is_new.all())
    rotation = Rotation.from_quat(parent.quats[0].roll(-1).numpy()).as_matrix()
    offsets = (result.gaussians.means - parent.means) @ torch.from_numpy(rotation).float()
    white = offsets / parent.scales
    standard_error = 1 / math.sqrt(2 * count)
    assert white.mean(dim=0).abs().max() < 5 * standard_error
    assert (white.T.cov() - torch.eye(3)).abs().max() < 5 * math.sqrt(2) * standard_error


def test_the_same_generator_gives_the_same_halves() -> None:
    gaussians, stats = scene(30), statistics(30)
    one, again, other = (run(gaussians, stats, seed=seed).gaussians for seed in (0, 0, 1))
    assert torch.equal(one.means, again.means)
    assert not torch.equal(one.means, other.means)


def test_the_result_is_in_morton_order() -> None:
    result = run(scene(40), statistics(40))
    order = morton_order(result.gaussians.means)
    assert torch.equal(order, torch.arange(len(order)))


def test_moments_follow_their_gaussians() -> None:
    """What the trainer does with `source` and `is_new`: old ones keep their moments."""
    gaussians, stats = scene(40), statistics(40)
    moments = torch.arange(1.0, 41.0)
    result = run(gaussians, stats)
    moved = torch.where(result.is_new, 0.0, moments[result.source])
    for row, (source, is_new) in enumerate(zip(result.source, result.is_new, strict=True)):
        assert moved[row] == (0.0 if is_new else moments[source])
        if not is_new:
            assert torch.equal(result.gaussians.means[row], gaussians.means[source])
    old = result.source[~result.is_new]
    assert len(old.unique()) == len(old)


def test_empty_scenes() -> None:
    result = run(scene(0), DensityStatistics.zeros(0), prune_large=True)
    assert len(result.gaussians) == 0 and len(result.source) == 0 and len(result.is_new) == 0


def test_everything_may_be_pruned() -> None:
    gaussians = scene(5)
    gaussians.logit_opacities[:] = -20.0
    assert len(run(gaussians, statistics(5)).gaussians) == 0


def test_nan_gaussians_are_pruned_with_the_faint() -> None:
    gaussians = scene(5)
    gaussians.logit_opacities[:] = 0.0
    gaussians.logit_opacities[2] = math.nan
    result = run(gaussians, DensityStatistics.zeros(5))
    assert sorted(result.source.tolist()) == [0, 1, 3, 4]


def test_statistics_are_means_over_the_views_that_saw_a_gaussian() -> None:
    """In normalized image coordinates: a pixel is 2 / width wide and 2 / height high."""
    stats = DensityStatistics.zeros(3)
    stats.add(
        torch.tensor([[3.0, 0.0], [0.0, 1.0], [5.0, 5.0]]),
        torch.tensor([True, True, False]),
        (200, 100),
    )
    stats.add(
        torch.tensor([[0.03, 0.08], [9.0, 9.0], [7.0, 7.0]]),
        torch.tensor([True, False, False]),
        (200, 100),
    )
    assert stats.seen.tolist() == [2, 1, 0]
    expected = [300 + math.hypot(0.03 * 100, 0.08 * 50), 50, 0]
    assert stats.gradient_sum.tolist() == pytest.approx(expected)


def test_image_size_does_not_change_the_statistics() -> None:
    """The same scene at twice the size has half the gradient per pixel."""
    gradient = torch.randn(10, 2, generator=torch.manual_seed(0))
    small, large = DensityStatistics.zeros(10), DensityStatistics.zeros(10)
    everywhere = torch.ones(10, dtype=torch.bool)
    small.add(gradient, everywhere, (320, 240))
    large.add(gradient / 2, everywhere, (640, 480))
    torch.testing.assert_close(small.gradient_sum, large.gradient_sum)


def test_opacities_are_lowered_and_never_raised() -> None:
    logits = torch.tensor([-10.0, -4.7, 0.0, 20.0])
    lowered = torch.sigmoid(reset_opacities(logits))
    expected = torch.sigmoid(logits).clamp_max(RESET_OPACITY)
    torch.testing.assert_close(lowered, expected)
    assert logits.tolist() == pytest.approx([-10.0, -4.7, 0.0, 20.0])
    assert reset_opacities(torch.empty(0)).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1e-6, 1e6]))
def test_morton_order_is_a_permutation(count: int, seed: int, scale: float) -> None:
    means = scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    assert sorted(morton_order(means).tolist()) == list(range(count))


def test_morton_order_is_the_interleaved_bits() -> None:
    """On a grid, by hand: x is the lowest bit of each three, then y, then z."""
    grid = torch.cartesian_prod(*[torch.arange(8)] * 3)
    shuffled = grid[torch.randperm(512, generator=torch.manual_seed(0))]
    # 0..1023 in steps of 1023 / 7 lies in cells whose three highest bits are the index.
    ordered = shuffled[morton_order(shuffled.float())].tolist()
    codes = []
    for point in ordered:
        bits = [f"{value:03b}" for value in point]
        codes.append(int("".join(bits[2][k] + bits[1][k] + bits[0][k] for k in range(3)), 2))
    assert codes == sorted(codes)


def test_morton_order_keeps_neighbors_near() -> None:
    """A step along the order is much shorter than one between random Gaussians."""
    means = torch.rand(2000, 3, generator=torch.manual_seed(0))
    along = means[morton_order(means)].diff(dim=0).norm(dim=-1).mean()
    random = means.diff(dim=0).norm(dim=-1).mean()
    assert along < 0.2 * random


def test_morton_order_does_not_depend_on_place_or_size() -> None:
    means = torch.rand(100, 3, generator=torch.manual_seed(0))
    expected = morton_order(means)
    assert torch.equal(morton_order(64 * means), expected)
    assert torch.equal(morton_order(means.double() + 2.0), morton_order(means.double()))
