"""Lifting from end to end, onto the Gaussians behind the synthetic photos."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders.progress import Recorder

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.lifting import STAGES, LiftConfig, Lifted, SegmentedView, lift
from splatseg.masks import open_masks
from splatseg.render import project, rasterize
from splatseg.training.config import ContrastiveConfig
from splatseg.training.views import TrainingViews

MIN_IOU = 0.8  # the photos are 96 pixels wide: a rim of one pixel costs 0.1
THRESHOLD = 0.7


@pytest.fixture(scope="module")
def views(synthetic) -> list[SegmentedView]:
    """The shuffled, halved and missing masks of the synthetic capture."""
    capture = load_capture(synthetic.root)
    masks = open_masks(synthetic.root, None, [frame.name for frame in capture.frames])
    training = TrainingViews(capture, masks, ContrastiveConfig(), seed=0)
    masked = [frame for frame in capture.train if training.has_masks(frame)]
    return [training.segmented(frame, max_masks=50) for frame in masked]


@pytest.fixture(scope="module")
def lift_with(true_scene) -> Callable[..., Lifted]:
    def lift_views(views: list[SegmentedView], steps: int = 150, **changes: object) -> Lifted:
        config = LiftConfig(steps=steps, samples=1024)
        rng = torch.Generator().manual_seed(0)
        return lift(true_scene[0], views, config, 16, rng, **changes)["whole"]

    return lift_views


def ious(synthetic, true_scene, features: torch.Tensor) -> list[float]:
    """Of Eq. 6's masks in the held-out views, for a query at the true mean feature of a ball."""
    gaussians, _ = true_scene
    scores = []
    for ball in (1, 2, 3):
        for frame in load_capture(synthetic.root).test:
            truth = torch.from_numpy(synthetic.truth[frame.name] == ball)
            rendered = F.normalize(
                rasterize(project(gaussians, frame.camera), features).image, dim=-1
            )
            query = F.normalize(rendered[truth].mean(dim=0), dim=0)
            mask = rendered @ query >= THRESHOLD
            scores.append(float((mask & truth).sum() / (mask | truth).sum()))
    return scores


def test_every_ball_is_an_object_and_can_be_picked_in_views_that_were_held_out(
    synthetic, true_scene, views, lift_with
) -> None:
    """Though a mask joins two balls in some views: it is outvoted."""
    joined = [with_mask(view, synthetic.truth[view.frame.name] > 1) for view in views[:3]]
    for given in (views, joined + views[3:]):
        progress = Recorder()
        lifted = lift_with(given, progress=progress)
        assert min(ious(synthetic, true_scene, lifted.features)) > MIN_IOU
        for ball in (1, 2, 3):
            found = lifted.labels[true_scene[1] == ball]
            assert (found == found.mode().values).float().mean() > 0.8
            assert found.mode().values != 0
        assert progress.stages == [stage for stage in STAGES if stage in progress.stages]
        assert {"lifting masks", "training features"} <= set(progress.stages)
        assert all(done < total for _, done, total in progress.updates)


def test_a_seed_gives_the_same_bits_and_the_order_of_masks_the_same_objects(
    views, lift_with
) -> None:
    few = lift_with(views, steps=5)
    assert torch.equal(few.features, lift_with(views, steps=5).features)
    flipped = [SegmentedView(v.frame, v.regions, v.membership.flip(dims=(1,))) for v in views]
    assert torch.equal(few.labels, lift_with(flipped, steps=0).labels)


def test_masks_without_agreement_give_one_feature_for_all(true_scene, views, lift_with) -> None:
    nothing = [
        SegmentedView(v.frame, torch.zeros_like(v.regions), torch.zeros(1, 0, dtype=torch.bool))
        for v in views
    ]
    found = lift_with(nothing, steps=5)
    assert not found.labels.any()
    assert found.features.shape == (len(true_scene[0]), 16)


def test_too_few_views_are_refused(views, lift_with) -> None:
    with pytest.raises(SplatsegError, match="2 training photos have masks"):
        lift_with(views[:2])


def with_mask(view: SegmentedView, mask: np.ndarray) -> SegmentedView:
    """The view with one more mask."""
    keys = view.regions.long() * 2 + torch.from_numpy(mask.astype(np.int64))
    members = view.membership.repeat_interleave(2, dim=0)
    odd = torch.arange(len(members)) % 2 == 1
    return SegmentedView(view.frame, keys.int(), torch.cat([members, odd[:, None]], dim=1))
