"""Votes of views on Gaussians."""

import torch

from splatseg.scene import Scene
from splatseg.segmentation import vote_fractions


def test_masks_and_the_rest_share_what_is_seen(trained: Scene) -> None:
    """Half an image and its other half give 1 where a view sees the Gaussian, else 0."""
    frames = trained.train[:2]

    def halves(frame, view) -> torch.Tensor:
        left = torch.zeros(frame.camera.height, frame.camera.width, dtype=torch.bool)
        left[:, :48] = True
        return torch.stack([left, ~left, torch.ones_like(left)])

    votes = vote_fractions(trained.gaussians, frames, 3, halves)
    is_seen = votes[:, 2] > 0
    torch.testing.assert_close(votes[:, 0] + votes[:, 1], votes[:, 2])
    torch.testing.assert_close(votes[is_seen, 2], torch.ones(int(is_seen.sum())))
    assert is_seen.any() and (votes[:, 0] > 0.9).any() and (votes[:, 1] > 0.9).any()
    assert not vote_fractions(trained.gaussians, (), 3, halves).any()
    assert vote_fractions(
        trained.gaussians, frames, 0, lambda frame, view: halves(frame, view)[:0]
    ).shape == (len(trained.gaussians), 0)
