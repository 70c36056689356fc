"""Unobserved regions: what no photo shows behind a removed object.

A pixel that the object covered shows a point behind it after the removal. The point is observed if
a training camera had it in its picture with nothing of the whole scene, the object included, in
front of it. A pixel that shows nothing after the removal is unobserved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress, tracked
from splatseg.render import ProjectedGaussians, project, rasterize
from splatseg.segmentation.feature_maps import MIN_COVERAGE
from splatseg.segmentation.selection import SELECTED, weights_margin
from splatseg.segmentation.votes import vote_fractions

DEPTH_SIDE = 512  # pixels, the longer side of the depth maps that are kept of all training views
TOLERANCE = 0.01  # of a depth: about the error of blended depths


@dataclass(frozen=True, eq=False)
class UnobservedRegions:
    """Where the removal of an object uncovers what was never photographed."""

    masks: dict[str, Bool[Tensor, "_ _"]]
    """Frame name to the pixels of its undistorted image that show an unobserved region."""
    fraction: float
    """Of the pixels that the object covered in all frames, in [0, 1]; 0 if it covered none."""
    gaussians: Bool[Tensor, " m"]
    """The remaining Gaussians that are visible mostly in such pixels."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """The depth of the scene at each pixel of a camera."""

    camera: Camera
    depth: Float[Tensor, "h w"]
    """Along the optical axis, in world units; infinite where no Gaussian is hit."""

    def sees(self, points: Float[Tensor, "p 3"]) -> Bool[Tensor, " p"]:
        """Which world points are in the picture and not occluded."""
        there = self.camera.project(points)
        farthest = (1 + TOLERANCE) * self.depth[there.rows, there.columns]
        return there.is_inside & (there.depths <= farthest)


def depth_map(gaussians: Gaussians, camera: Camera) -> DepthMap:
    """The depth map of a scene, at most DEPTH_SIDE pixels wide and high."""
    ratio = min(1.0, DEPTH_SIDE / max(camera.width, camera.height))
    smaller = camera.resized(round(ratio * camera.width), round(ratio * camera.height))
    return DepthMap(smaller, _depth(project(gaussians, smaller)))


def find_unobserved(
    before: Gaussians,
    weights: Float[Tensor, " n"],
    after: Gaussians,
    frames: Sequence[Frame],
    progress: Progress = SILENT,
) -> UnobservedRegions:
    """The regions that become visible by the removal of an object and that no photo shows.

    Args:
        before: All Gaussians of the scene.
        weights: How much of each of them belongs to the object, in [0, 1].
        after: The Gaussians that remain after the removal.
        frames: The views that get a mask. Only training views count as photos; if there is none,
            all do.
        progress: Told of the stages "depth maps", in photos, and "unobserved regions", in views.

    Returns:
        Masks of these regions in the undistorted images of `frames`, and the Gaussians there.
    """
    training = [frame for frame in frames if not frame.is_test] or list(frames)
    photos = tracked(training, "depth maps", progress)
    photographed = [depth_map(before, frame.camera) for frame in photos]
    masks, covered = {}, 0
    for frame in tracked(frames, "unobserved regions", progress):
        footprint = weights_margin(before, project(before, frame.camera), weights) >= 0
        masks[frame.name] = _unobserved_pixels(photographed, after, frame.camera, footprint)
        covered += int(footprint.sum())

    def unobserved(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "1 h w"]:
        return masks[frame.name][None]

    votes = vote_fractions(after, frames, 1, unobserved)[:, 0]
    fraction = sum(int(mask.sum()) for mask in masks.values()) / max(covered, 1)
    return UnobservedRegions(masks, fraction, votes >= SELECTED)


def _unobserved_pixels(
    photographed: Sequence[DepthMap],
    after: Gaussians,
    camera: Camera,
    footprint: Bool[Tensor, "h w"],
) -> Bool[Tensor, "h w"]:
    """The pixels of `footprint` whose surface no photo shows."""
    depth = _depth(project(after, camera))
    rows, columns = torch.nonzero(footprint, as_tuple=True)
    z = depth[rows, columns]
    is_hit = z.isfinite()
    pixels = torch.stack([columns, rows], dim=1) + 0.5
    world = camera.unproject(pixels, torch.where(is_hit, z, 1.0))
    is_observed = torch.zeros_like(is_hit)
    for photo in photographed:
        is_observed |= photo.sees(world)
    mask = torch.zeros_like(footprint)
    mask[rows, columns] = ~(is_observed & is_hit)
    return mask


def _depth(view: ProjectedGaussians) -> Float[Tensor, "h w"]:
    """The expected depth; infinite where nothing is hit."""
    with torch.no_grad():
        rendered = rasterize(view, view.colors[:, :1].contiguous(), depth=True)
    assert rendered.depth is not None
    return torch.where(rendered.alpha >= MIN_COVERAGE, rendered.depth, torch.inf)
