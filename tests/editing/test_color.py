"""Recoloring and hiding one of the three balls."""

import pytest
import torch

from splatseg.editing.color import hide_gaussians, recolor_gaussians
from splatseg.errors import SplatsegError
from splatseg.geometry import SH_DC
from splatseg.render import render

BLUE = torch.tensor([0.1, 0.2, 0.9])
FAINT = 1e-3  # of a color; a hidden Gaussian is skipped by every renderer


def test_hidden_gaussians_are_not_drawn(true_scene, views):
    gaussians, labels = true_scene
    hidden = render(hide_gaussians(gaussians, labels == 1), views[0].camera)
    without = render(gaussians.select(labels != 1), views[0].camera)
    assert len(hide_gaussians(gaussians, labels == 1)) == len(gaussians)
    torch.testing.assert_close(hidden.image, without.image, atol=FAINT, rtol=0)


def test_strength_goes_from_the_old_color_to_the_new(true_scene):
    gaussians, labels = true_scene
    old = 0.5 + SH_DC * gaussians.sh[:, 0]
    for strength in (0.0, 0.25, 1.0):
        changed = 0.5 + SH_DC * recolor_gaussians(gaussians, labels == 2, BLUE, strength).sh[:, 0]
        expected = torch.where((labels == 2)[:, None], torch.lerp(old, BLUE, strength), old)
        torch.testing.assert_close(changed, expected)


@pytest.mark.parametrize(
    ("color", "strength"), [(BLUE, 1.5), (BLUE + 1, 0.5), (BLUE, float("nan"))]
)
def test_what_is_no_color_is_refused(true_scene, color, strength):
    gaussians, labels = true_scene
    with pytest.raises(SplatsegError, match="expected"):
        recolor_gaussians(gaussians, labels == 1, color, strength)
