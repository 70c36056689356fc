"""The truth in 3D: which object each Gaussian of a scene belongs to.

Every training view with truth backprojects its instance map by blending weight, the background too.
A Gaussian's true label is the id with most votes, the lowest of equals. One that no such view sees
has none.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from splatseg.capture import Frame
from splatseg.evaluation.truth import Truth
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import project
from splatseg.render.labels import backproject_labels

UNSEEN = -1  # the label of a Gaussian that no view with truth sees


def lift_labels(
    gaussians: Gaussians, frames: Sequence[Frame], truth: Truth, progress: Progress = SILENT
) -> Int[Tensor, " n"]:
    """The object id of each Gaussian; 0 is the background, UNSEEN what no view sees.

    Args:
        frames: the views that vote, those of them that have truth.
        progress: gets the stage "lifting the truth".
    """
    ids = torch.arange(max(truth.names) + 1, device=gaussians.means.device)
    votes = torch.zeros(len(gaussians), len(ids), device=gaussians.means.device)
    voting = [frame for frame in frames if frame.name in truth.maps]
    for done, frame in enumerate(voting):
        progress.update("lifting the truth", done, len(voting))
        labels = _undistorted_labels(frame, truth.maps[frame.name]).to(ids.device)
        votes += backproject_labels(project(gaussians, frame.camera), labels, len(ids))
    return voted_labels(votes, ids)


def voted_labels(votes: Float[Tensor, "n c"], ids: Int[Tensor, " c"]) -> Int[Tensor, " n"]:
    """The id with most votes, the first of equals; UNSEEN where there are none."""
    return torch.where(votes.amax(dim=1) > 0, ids[votes.argmax(dim=1)], UNSEEN)


def _undistorted_labels(
    frame: Frame, instance_map: Integer[np.ndarray, "h w"]
) -> Int[Tensor, "r c"]:
    """The map as the undistorted camera sees it, -1 where the photo does not reach."""
    lens, camera = frame.lens, frame.camera
    labels = lens.warp_to_undistorted(instance_map.astype(np.int64), camera, nearest=True)
    reached = lens.warp_to_undistorted(np.ones(instance_map.shape, bool), camera, nearest=True)
    return torch.from_numpy(np.where(reached, labels, -1))
