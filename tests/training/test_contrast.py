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


@pytest.fixture(scope="module")
def before(true_scene) -> torch.Tensor:
    return first_features(len(true_scene[0]), 16, "uniform", generator(0, "features"))


def test_objects_come_apart(true_scene, views, before) -> None:
    gaussians, labels = true_scene
    within, between = cosines(contrast_features(gaussians, views, PAPER), labels)
    assert within - between > 3 * (cosines(before, labels)[0] - cosines(before, labels)[1])


def test_features_move_where_a_loss_is_due_and_by_the_regularizer_too(
    true_scene, views, before
) -> None:
    progress = Recorder()

    def features(iterations: int, **changes: object) -> torch.Tensor:
        config = replace(PAPER, iterations=iterations, **changes)
        return contrast_features(true_scene[0], views, config, progress)

    assert torch.equal(features(49), before)
    both = features(120)
    assert progress.steps("training features") == [50, 100]
    assert torch.equal(features(120), both)
    off = SpatialConfig(near_weight=0.0, far_weight=0.0)
    assert not torch.equal(features(120, spatial=off), both)
