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
    """Columns come in the order of segments; small masks are left out."""
    gaussians, _ = true_scene
    tiny = torch.zeros_like(views[0].regions)
    tiny[0, : MIN_PIXELS - 1] = 1
    views = [*views, SegmentedView(views[0].frame, tiny, torch.tensor([[False], [True]]))]
    found = associate_masks(gaussians, views)
    columns = zip(found.view, found.segment, found.inside.toarray().T, strict=True)
    columns = {(int(view), int(segment)): inside > 0 for view, segment, inside in columns}
    assert list(columns) == sorted(columns)
    for index, view in enumerate(views):
        projected = project(gaussians, view.frame.camera)
        seen = backproject(projected, torch.ones(*view.regions.shape, 1))[:, 0]
        assert np.array_equal(found.visible[:, index], (seen > 0.05).numpy())
        for segment in range(view.segments):
            mask = view.mask(segment)
            assert ((index, segment) in columns) == (mask.sum() >= MIN_PIXELS)
            if mask.sum() >= MIN_PIXELS:
                inside = backproject(projected, mask[..., None].float())[:, 0]
                expected = (inside > 0.5 * seen) & (seen > 0.05)
                assert np.array_equal(columns[index, segment], expected.numpy())
                column = list(columns).index((index, segment))
                assert found.fraction[column] == pytest.approx(mask.float().mean().item())
    assert len(columns) > 3 * (len(views) - 1)


def test_a_balls_gaussians_lie_in_its_masks(views, true_scene) -> None:
    gaussians, truth = true_scene
    found = associate_masks(gaussians, views)
    for ball in (1, 2, 3):
        masks = found.inside[:, np.flatnonzero(found.segment == ball - 1)].toarray() > 0
        often = masks.sum(axis=1) > found.visible.sum(axis=1) / 2
        assert (truth.numpy()[often] == ball).mean() > 0.95
