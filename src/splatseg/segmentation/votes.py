"""Masks of views to Gaussians: each pixel votes, with the weight by which it shows the Gaussian."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import ProjectedGaussians, backproject, project

MIN_VOTES = 1e-12  # only avoids 0 / 0


def vote_fractions(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    count: int,
    masks: Callable[[Frame, ProjectedGaussians], Bool[Tensor, "k h w"]],
    progress: Progress = SILENT,
    stage: str = "voting",
) -> Float[Tensor, "n k"]:
    """The fraction of each Gaussian's visible weight that lies in each object's masks.

    Args:
        frames: the views, each rendered once.
        count: objects.
        masks: the `count` masks of a frame, in pixels of its undistorted image, given the
            projected Gaussians.
        progress: told of `stage`, a step for each view.

    Returns:
        Fractions in [0, 1] by blending weight; 0 where no view sees the Gaussian.
    """
    votes = torch.zeros(len(gaussians), count + 1, device=gaussians.means.device)
    for done, frame in enumerate(frames, start=1):
        view = project(gaussians, frame.camera, sh_degree=0)
        inside = masks(frame, view)
        everywhere = inside.new_ones(1, *inside.shape[1:])
        votes += backproject(view, torch.cat([inside, everywhere]).permute(1, 2, 0).float())
        progress.update(stage, done, len(frames))
    return votes[:, :-1] / votes[:, -1:].clamp_min(MIN_VOTES)
