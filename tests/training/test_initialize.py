"""The first Gaussians: widths against brute force, colors, and captures of few points."""

import math

import numpy as np
import pytest
import torch

from splatseg.geometry import Gaussians
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.training.initialize import INITIAL_OPACITY, gaussians_from_points

FLOAT32_TOLERANCE = 1e-6


def start(points: np.ndarray, colors: np.ndarray | None = None, **options) -> Gaussians:
    if colors is None:
        colors = np.full((len(points), 3), 128, np.uint8)
    seed = options.pop("seed", 0)
    options = {"sh_degree": 0, "features": 4, "feature_init": "uniform"} | options
    return gaussians_from_points(
        points, colors, generator=torch.Generator().manual_seed(seed), **options
    )


DOUBLE = np.array([[0.0, 0, 0], [0.0, 0, 0], [3.0, 0, 0], [0.0, 4, 0], [100.0, 0, 0]])


@pytest.mark.parametrize(
    "points",
    [*(np.random.default_rng(k).normal(size=(k, 3)) for k in (0, 1, 2, 3, 4, 60)), DOUBLE],
    ids=len,
)
def test_the_start_is_that_of_3dgs(points: np.ndarray) -> None:
    """Width: root mean square of the distances to the three nearest other points, or to all."""
    gaussians = start(points)
    for i, width in enumerate(gaussians.scales.tolist()):
        others = np.delete(points, i, axis=0)
        nearest = np.sort(np.linalg.norm(points[i] - others, axis=1))[:3]
        expected = math.sqrt((nearest**2).mean()) if len(nearest) else 1.0
        assert width == pytest.approx([expected] * 3, rel=1e-5)
    torch.testing.assert_close(gaussians.means, torch.from_numpy(points).float())
    assert gaussians.quats.tolist() == [[1.0, 0.0, 0.0, 0.0]] * len(points)
    torch.testing.assert_close(gaussians.opacities, torch.full((len(points),), INITIAL_OPACITY))
    assert all(tensor.dtype == torch.float32 for tensor in gaussians)
    together = start(0 * points)  # all on top of each other
    assert bool(together.log_scales.isfinite().all()) and bool((together.scales > 0).all())


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
