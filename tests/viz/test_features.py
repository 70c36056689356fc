"""Feature maps as colors, of any input."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splatseg.segmentation import FeatureMap
from splatseg.viz.features import FeatureColors
from splatseg.viz.labels import BACKGROUND

MIN_DISTANCE = 100  # in RGB, of clusters


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), dim=-1)


def test_clusters_have_distinct_colors_and_background_is_dark():
    axes = torch.eye(16)[:3]
    samples = F.normalize(axes.repeat(50, 1) + 0.1 * unit(150, 16), dim=1)
    covered = torch.tensor([[True, True, True, False]])
    shown = FeatureColors.fit(samples).paint(FeatureMap(torch.cat([axes, axes[:1]])[None], covered))
    difference = shown[0, :3, None].astype(int) - shown[0, None, :3].astype(int)
    distances = np.sqrt((difference**2).sum(axis=-1))
    assert distances[~np.eye(3, dtype=bool)].min() > MIN_DISTANCE
    assert (shown[0, 3] == BACKGROUND).all()


@pytest.mark.parametrize("count", [0, 1, 2, 6])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("equal", [False, True])
def test_any_samples_give_colors(count: int, channels: int, equal: bool):
    samples = unit(count, channels)
    if equal and count:
        samples = samples[:1].repeat(count, 1)
    image = FeatureMap(unit(3, 4, channels), torch.ones(3, 4, dtype=torch.bool))
    shown = FeatureColors.fit(samples).paint(image)
    assert shown.shape == (3, 4, 3) and shown.dtype == np.uint8
