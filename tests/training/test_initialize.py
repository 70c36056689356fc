"""The first Gaussians: widths against brute force, colors, and captures of few points."""

import math

import numpy as np
import pytest
import torch

from splatseg.geometry import SH_DC, Gaussians
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.training.initialize import INITIAL_OPACITY, gaussians_from_points

FLOAT32_TOLERANCE = 1e-6


def start(
    points: np.ndarray,
    colors: np.ndarray | None = None,
    sh_degree: int = 0,
    features: int = 4,
    feature_init: str = "uniform",
    seed: int = 0,
) -> Gaussians:
    if colors is None:
        colors = np.full((len(points), 3), 128, np.uint8)
    return gaussians_from_points(
        points,
        colors,
        sh_degree=sh_degree,
        features=features,
        feature_init=feature_init,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("count", [2, 3, 4, 5, 60])
def test_widths_are_distances_to_the_nearest_points(count: int) -> None:
    """The root mean square of the distances to the three nearest other points, or to all others."""
    points = np.random.default_rng(count).normal(size=(count, 3))
    gaussians = start(points)
    for i in range(count):
        others = sorted(np.linalg.norm(points[i] - points[j]) for j in range(count) if j != i)
        nearest = others[:3]
        expected = math.sqrt(sum(d * d for d in nearest) / len(nearest))
        assert gaussians.scales[i].tolist() == pytest.approx([expected] * 3, rel=1e-5)


def test_scaling_the_points_scales_the_gaussians() -> None:
    points = np.random.default_rng(0).normal(size=(30, 3))
    small, large = start(points), start(50.0 * points)
    torch.testing.assert_close(large.means, 50 * small.means)
    torch.testing.assert_close(large.scales, 50 * small.scales)


def test_one_point_is_one_unit_wide() -> None:
    gaussians = start(np.array([[1.0, 2.0, 3.0]]))
    assert gaussians.means.tolist() == [[1.0, 2.0, 3.0]]
    assert gaussians.scales.tolist() == [[1.0, 1.0, 1.0]]


def test_no_points_are_no_gaussians() -> None:
    gaussians = start(np.empty((0, 3)), sh_degree=2)
    assert len(gaussians) == 0
    assert gaussians.sh.shape == (0, 9, 3) and gaussians.features.shape == (0, 4)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_points_on_top_of_each_other_are_finite(count: int) -> None:
    gaussians = start(np.ones((count, 3)))
    assert bool(gaussians.log_scales.isfinite().all())
    assert bool((gaussians.scales > 0).all())


def test_some_duplicates_do_not_shrink_the_others() -> None:
    points = np.array([[0.0, 0, 0], [0.0, 0, 0], [3.0, 0, 0], [0.0, 4, 0], [100.0, 0, 0]])
    scales = start(points).scales[:, 0].tolist()
    assert scales[0] == scales[1] == pytest.approx(math.sqrt((0 + 9 + 16) / 3))
    assert scales[2] == pytest.approx(math.sqrt((9 + 9 + 25) / 3))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colors_are_the_points(degree: int) -> None:
    """From every direction, because only the constant harmonic is set."""
    colors = np.array([[0, 128, 255], [7, 200, 31]], np.uint8)
    gaussians = start(np.array([[0.0, 0, 0], [1.0, 0, 0]]), colors, sh_degree=degree)
    assert gaussians.sh_degree == degree
    directions = torch.nn.functional.normalize(
        torch.randn(2, 3, generator=torch.manual_seed(0)), dim=-1
    )
    shown = 0.5 + torch.einsum("nk,nkc->nc", sh_basis(directions, degree), gaussians.sh)
    expected = torch.from_numpy(colors).float() / 255
    torch.testing.assert_close(shown, expected, rtol=0.0, atol=FLOAT32_TOLERANCE)
    assert gaussians.sh[0, 0, 0].item() == pytest.approx(-0.5 / SH_DC)


def test_the_rest_starts_as_3dgs_has_it() -> None:
    gaussians = start(np.random.default_rng(0).normal(size=(6, 3)))
    assert torch.equal(gaussians.quats, torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(6, 1))
    torch.testing.assert_close(gaussians.opacities, torch.full((6,), INITIAL_OPACITY))
    assert all(t.dtype == torch.float32 for t in gaussians)


def test_features_are_drawn_from_the_generator() -> None:
    points = np.random.default_rng(0).normal(size=(500, 3))
    uniform = start(points, features=16).features
    assert uniform.min() >= 0 and uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)
    normal = start(points, features=16, feature_init="normal").features
    assert normal.mean().item() == pytest.approx(0.0, abs=0.06)
    assert normal.std().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(start(points, features=16).features, uniform)
    assert not torch.equal(start(points, features=16, seed=1).features, uniform)
    assert start(points, features=0).features.shape == (500, 0)
