import numpy as np
import pytest
import torch

from splatseg.capture import load_capture
from splatseg.lifting import SegmentedView
from splatseg.lifting.association import MIN_PIXELS, associate_masks
from splatseg.render import backproject, project


@pytest.fixture
def views(synthetic) -> list[SegmentedView]:
    """The training views with each ball's true mask, and one of all balls together."""
    found = []
    for frame in load_capture(synthetic.root).train:
        regions = torch.from_numpy(synthetic.truth[frame.name].astype(np.int32))
        members = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]).bool()
        found.append(SegmentedView(frame, regions, members))
    return found


def test_a_gaussian_lies_in_the_masks_that_hold_most_of_its_weight(views, true_scene) -> None:
    gaussians, _ = true_scene
    found = associate_masks(gaussians, views)
    column = 0
    for index, view in enumerate(views):
        projected = project(gaussians, view.frame.camera)
        seen = backproject(projected, torch.ones(*view.regions.shape, 1))[:, 0]
        assert np.array_equal(found.visible[:, index], (seen > 0.05).numpy())
        for segment in range(view.segments):
            mask = view.mask(segment)
            if mask.sum() < MIN_PIXELS:
                continue
            inside = backproject(projected, mask[..., None].float())[:, 0]
            expected = (inside > 0.5 * seen) & (seen > 0.05)
            assert np.array_equal(found.inside[:, [column]].toarray()[:, 0] > 0, expected.numpy())
            assert (found.view[column], found.segment[column]) == (index, segment)
            assert found.fraction[column] == pytest.approx(mask.float().mean().item())
            column += 1
    assert column == found.inside.shape[1] > 3 * len(views)


def test_a_balls_gaussians_lie_in_its_masks(views, true_scene) -> None:
    gaussians, truth = true_scene
    found = associate_masks(gaussians, views)
    for ball in (1, 2, 3):
        masks = found.inside[:, np.flatnonzero(found.segment == ball - 1)].toarray() > 0
        often = masks.sum(axis=1) > found.visible.sum(axis=1) / 2
        assert (truth.numpy()[often] == ball).mean() > 0.95


def test_the_order_of_segments_is_the_order_of_columns(views, true_scene) -> None:
    gaussians, _ = true_scene
    flipped = [
        SegmentedView(view.frame, view.regions, view.membership.flip(dims=(1,))) for view in views
    ]
    one, other = (associate_masks(gaussians, v) for v in (views[:1], flipped[:1]))
    assert np.array_equal(one.inside.toarray(), other.inside.toarray()[:, ::-1])


def test_small_masks_are_left_out(views, true_scene) -> None:
    gaussians, _ = true_scene
    regions = torch.zeros_like(views[0].regions)
    regions[0, : MIN_PIXELS - 1] = 1
    tiny = SegmentedView(views[0].frame, regions, torch.tensor([[False], [True]]))
    assert associate_masks(gaussians, [tiny]).inside.shape == (len(gaussians), 0)
