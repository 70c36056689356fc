"""The mask–Gaussian association: which Gaussians lie in which mask, over all views.

A Gaussian lies in a mask if most of its blending weight in that view falls on pixels of the mask.
Segments are numbered through, view after view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from scipy import sparse
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting.views import SegmentedView
from splatseg.progress import SILENT, Progress
from splatseg.render import ProjectedGaussians, backproject, project
from splatseg.render.labels import CHANNELS_AT_ONCE

MIN_WEIGHT = 0.05  # pixels: a Gaussian that adds less to a view is not seen there
MIN_FRACTION = 0.5  # of a Gaussian's weight in a view, for it to lie in a mask
MIN_PIXELS = 60  # smaller masks hold too few Gaussians to compare


@dataclass(frozen=True, eq=False)
class MaskAssociation:
    """Gaussians by segments and by views."""

    inside: sparse.csr_array
    """float32 [n, s]: 1 where Gaussian n lies in segment s."""
    visible: Bool[np.ndarray, "n v"]
    """Whether a view sees a Gaussian."""
    weight: Float32[np.ndarray, " n"]
    """Mean weight of a Gaussian in the views that see it, in pixels: its size in all overlaps."""
    view: Int64[np.ndarray, " s"]
    """The view of each segment."""
    segment: Int64[np.ndarray, " s"]
    """Its number within that view."""
    fraction: Float32[np.ndarray, " s"]
    """The fraction of its view's pixels that it covers."""


def associate_masks(
    gaussians: Gaussians,
    views: Sequence[SegmentedView],
    progress: Progress = SILENT,
) -> MaskAssociation:
    """Backproject the masks of all views onto the Gaussians; the stage is "lifting masks"."""
    inside, visible, fractions, numbers, owners = [], [], [], [], []
    total = np.zeros(len(gaussians), dtype=np.float32)
    for index, view in enumerate(views):
        progress.update("lifting masks", index, len(views))
        pixels = view.pixels()
        kept = (pixels >= MIN_PIXELS).nonzero()[:, 0]
        weights = backproject_segments(project(gaussians, view.frame.camera), view, kept)
        seen = weights[:, -1]
        is_visible = seen > MIN_WEIGHT
        is_inside = (weights[:, :-1] > MIN_FRACTION * seen[:, None]) & is_visible[:, None]
        inside.append(sparse.csr_array(is_inside.cpu().numpy().astype(np.float32)))
        visible.append(is_visible.cpu().numpy())
        total += seen.cpu().numpy()
        fractions.append(pixels[kept].cpu().numpy() / view.regions.numel())
        numbers.append(kept.cpu().numpy())
        owners.append(np.full(len(kept), index))
    stacked = np.stack(visible, axis=1)
    return MaskAssociation(
        inside=sparse.csr_array(sparse.hstack(inside, format="csr")),
        visible=stacked,
        weight=(total / np.maximum(stacked.sum(axis=1), 1)).astype(np.float32),
        view=np.concatenate(owners).astype(np.int64),
        segment=np.concatenate(numbers).astype(np.int64),
        fraction=np.concatenate(fractions).astype(np.float32),
    )


def backproject_segments(
    projected: ProjectedGaussians, view: SegmentedView, kept: Tensor
) -> Tensor:
    """[n, s + 1]: blending weight in each of the `kept` masks; in the last column, in the view."""
    everywhere = view.membership.new_ones(len(view.membership), 1)
    columns = torch.cat([view.membership[:, kept], everywhere], dim=1).float()
    parts = columns.split(CHANNELS_AT_ONCE, dim=1)
    return torch.cat([backproject(projected, part[view.regions]) for part in parts], dim=1)
