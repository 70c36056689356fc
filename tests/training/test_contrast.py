"""The paper's losses on frozen geometry."""

from dataclasses import replace

import pytest
import torch
from builders.progress import Recorder

from splatseg.capture import load_capture
from splatseg.masks import open_masks
from splatseg.training import PRESETS, ContrastiveConfig, SpatialConfig, contrast_features
from splatseg.training.contrast import first_features
from splatseg.training.randomness import generator
from splatseg.training.views import TrainingViews

PAPER = replace(PRESETS["paper"], iterations=600)


@pytest.fixture(scope="module")
def views(synthetic) -> TrainingViews:
    capture = load_capture(synthetic.root)
    masks = open_masks(synthetic.root, None, [frame.name for frame in capture.frames])
    return TrainingViews(capture, masks, ContrastiveConfig(), seed=0)


def cosines(features: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cosine within objects, and between them."""
    unit = torch.nn.functional.normalize(features, dim=1)
    means = [unit[labels == ball].mean(dim=0) for ball in (1, 2, 3)]
    within = [float((unit[labels == ball] @ means[ball - 1]).mean()) for ball in (1, 2, 3)]
    between = [float(means[a] @ means[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
    return sum(within) / 3, sum(between) / 3


def test_objects_come_apart(true_scene, views) -> None:
    gaussians, labels = true_scene
    before = first_features(len(gaussians), 16, "uniform", generator(0, "features"))
    after = contrast_features(gaussians, views, PAPER)
    within, between = cosines(after, labels)
    assert within - between > 3 * (cosines(before, labels)[0] - cosines(before, labels)[1])


def test_without_a_due_loss_the_first_features_stay(true_scene, views) -> None:
    gaussians, _ = true_scene
    found = contrast_features(gaussians, views, replace(PAPER, iterations=49))
    before = first_features(len(gaussians), 16, "uniform", generator(0, "features"))
    assert torch.equal(found, before)


def test_the_regularizer_alone_moves_features(true_scene, views) -> None:
    gaussians, _ = true_scene
    both = contrast_features(gaussians, views, replace(PAPER, iterations=100))
    off = SpatialConfig(near_weight=0.0, far_weight=0.0)
    without = contrast_features(gaussians, views, replace(PAPER, iterations=100, spatial=off))
    assert not torch.equal(both, without)
    again = contrast_features(gaussians, views, replace(PAPER, iterations=100))
    assert torch.equal(both, again)


def test_iterations_are_counted(true_scene, views) -> None:
    progress = Recorder()
    contrast_features(true_scene[0], views, replace(PAPER, iterations=120), progress)
    assert progress.steps("training features") == [50, 100]
