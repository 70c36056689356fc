"""Removing an object from a scene together with the floaters that it leaves.

The Gaussians that belong to an object by half or more are its visible surface. Others lie inside
it, along its outline and at its base: large or translucent Gaussians that contribute little to any
photo. They become visible floaters when the object is removed. Unlike the background, they are in
the object's silhouette from many viewpoints; this is how they are found.

Alternatives and measurements: benchmarks/quality/removal.py, docs/method.md.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress, tracked
from splatseg.render import render
from splatseg.segmentation.feature_maps import MIN_COVERAGE
from splatseg.segmentation.selection import SELECTED

SILHOUETTE_FRACTION = 0.4  # of the views. More leaves floaters at the base; 0.2 takes the table too
BOX_MARGIN = 0.05  # of the box's diagonal: floaters at the base have their centers below it


def without(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    weights: Float[Tensor, " n"],
    progress: Progress = SILENT,
) -> Bool[Tensor, " n"]:
    """The Gaussians that remain when an object is removed.

    Those that belong to the object by less than half remain, except for its floaters: those near
    it that are in its silhouette from at least SILHOUETTE_FRACTION of the frames.

    Args:
        gaussians: All Gaussians of the scene.
        frames: The views that silhouettes are rendered in, at best the training views.
        weights: How much of each Gaussian belongs to the object, in [0, 1].
        progress: Told of the stage "silhouettes", in views.
    """
    selected = weights >= SELECTED
    if not bool(selected.any()):
        return ~selected
    own = gaussians.means[selected]
    # If all cameras are on one side, silhouettes also contain the background: the box bounds them.
    low, high = own.amin(dim=0), own.amax(dim=0)
    margin = BOX_MARGIN * (high - low).norm()
    is_near = ((gaussians.means >= low - margin) & (gaussians.means <= high + margin)).all(dim=1)
    candidates = torch.nonzero(is_near & ~selected)[:, 0]
    instance = gaussians.select(selected)
    fractions = silhouette_fractions(gaussians.means[candidates], instance, frames, progress)
    remaining = ~selected
    remaining[candidates] = fractions < SILHOUETTE_FRACTION
    return remaining


def silhouette_fractions(
    points: Float[Tensor, "p 3"],
    instance: Gaussians,
    frames: Sequence[Frame],
    progress: Progress = SILENT,
) -> Float[Tensor, " p"]:
    """The fraction of views with a point in the picture that have it in an object's silhouette.

    The silhouette is that of the Gaussians of `instance` alone, whatever occludes them in the
    scene. A point that is in no picture has 0.
    """
    inside, shown = points.new_zeros(2, len(points))
    for frame in tracked(frames, "silhouettes", progress):
        with torch.no_grad():
            silhouette = render(instance, frame.camera).alpha >= MIN_COVERAGE
        seen = frame.camera.project(points)
        shown += seen.is_inside
        inside += seen.is_inside & silhouette[seen.rows, seen.columns]
    return inside / shown.clamp_min(1)
