"""Taking an object out of a scene without a halo of what hung in and around it.

The Gaussians that belong to an object by half or more are its surface, as photos show it. Within,
where no photo looks, and along its outline and its foot hang others, large or half transparent, in
its color or in none: they had little part in the photos, but with the object gone they are what
one sees. They lie in the object's silhouette from many sides, as nothing behind it does.

What was tried in its place, and the figures: benchmarks/quality/removal.py, docs/method.md.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import render
from splatseg.segmentation.feature_maps import MIN_COVERAGE
from splatseg.segmentation.selection import SELECTED

SILHOUETTE_FRACTION = (
    0.4  # of the views. More leaves what hangs at the foot; 0.2 takes the table too
)
BOX_MARGIN = 0.05  # of the box's diagonal: what hangs under the foot has its center below it


def without(
    gaussians: Gaussians, frames: Sequence[Frame], weights: Float[Tensor, " n"]
) -> Bool[Tensor, " n"]:
    """The Gaussians that stay when the object to which they belong by `weights` is removed.

    All that belong to it by less than half, but for those near it that are in its silhouette from
    SILHOUETTE_FRACTION of `frames`.
    """
    selected = weights >= SELECTED
    if not bool(selected.any()):
        return ~selected
    own = gaussians.means[selected]
    # Where all cameras look from one side, silhouettes hold all that is behind: the box ends there.
    low, high = own.amin(dim=0), own.amax(dim=0)
    margin = BOX_MARGIN * (high - low).norm()
    is_near = ((gaussians.means >= low - margin) & (gaussians.means <= high + margin)).all(dim=1)
    candidates = torch.nonzero(is_near & ~selected)[:, 0]
    shares = silhouette_fractions(gaussians.means[candidates], gaussians.select(selected), frames)
    stays = ~selected
    stays[candidates] = shares < SILHOUETTE_FRACTION
    return stays


def silhouette_fractions(
    points: Float[Tensor, "p 3"], thing: Gaussians, frames: Sequence[Frame]
) -> Float[Tensor, " p"]:
    """Of the views that a point falls into, the share in which it is in the thing's silhouette.

    The silhouette is that of `thing` alone, whatever stands in front of it. 0 where no view shows
    the point.
    """
    inside, shown = points.new_zeros(2, len(points))
    for frame in frames:
        with torch.no_grad():
            silhouette = render(thing, frame.camera).alpha >= MIN_COVERAGE
        seen = frame.camera.project(points)
        shown += seen.is_inside
        inside += seen.is_inside & silhouette[seen.rows, seen.columns]
    return inside / shown.clamp_min(1)
