"""What no photo shows behind a removed object: there a scene can only have guessed.

A pixel that the object covered shows, with the object gone, a point of the scene behind it. The
point counts as seen if some training camera had it in view with nothing of the whole scene, the
object included, in front of it. Where nothing is left to be hit, there is no such point: unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import ProjectedGaussians, project, rasterize
from splatseg.segmentation.feature_maps import MIN_COVERAGE
from splatseg.segmentation.selection import SELECTED, weights_margin
from splatseg.segmentation.votes import vote_fractions

DEPTH_SIDE = 512  # pixels, the longer side of the depth maps that are kept of all training views
TOLERANCE = 0.01  # of a depth: blended depths are off by about as much


@dataclass(frozen=True, eq=False)
class Unobserved:
    """Where a removed object lets one see what was never photographed."""

    masks: dict[str, Bool[Tensor, "_ _"]]
    """Frame name to the pixels of its working image that show it."""
    share: float
    """Of the pixels that the object covered in all frames, in [0, 1]; 0 if it covered none."""
    gaussians: Bool[Tensor, " m"]
    """The Gaussians left that are mostly visible in such pixels."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """How far a camera sees."""

    camera: Camera
    depth: Float[Tensor, "h w"]
    """Along the optical axis; infinite where it sees nothing."""

    def sees(self, points: Float[Tensor, "p 3"]) -> Bool[Tensor, " p"]:
        """Which world points are in the picture, with nothing in front of them."""
        there = self.camera.project(points)
        farthest = (1 + TOLERANCE) * self.depth[there.rows, there.columns]
        return there.is_inside & (there.depths <= farthest)


def depth_map(gaussians: Gaussians, camera: Camera) -> DepthMap:
    """How far a camera sees the scene, at most DEPTH_SIDE pixels wide and high."""
    ratio = min(1.0, DEPTH_SIDE / max(camera.width, camera.height))
    smaller = camera.resized(round(ratio * camera.width), round(ratio * camera.height))
    return DepthMap(smaller, _depth(project(gaussians, smaller)))


def find_unobserved(
    before: Gaussians,
    weights: Float[Tensor, " n"],
    after: Gaussians,
    frames: Sequence[Frame],
) -> Unobserved:
    """What no training photo shows of the scene `after` an object was removed from `before`.

    `weights` are how much of each Gaussian of `before` belonged to the object. All `frames` get a
    mask; only those that were trained on count as photographed.
    """
    training = [frame for frame in frames if not frame.is_test] or list(frames)
    photographed = [depth_map(before, frame.camera) for frame in training]
    masks, covered = {}, 0
    for frame in frames:
        footprint = weights_margin(before, project(before, frame.camera), weights) >= 0
        masks[frame.name] = _unseen_pixels(photographed, after, frame.camera, footprint)
        covered += int(footprint.sum())

    def unseen(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "1 h w"]:
        return masks[frame.name][None]

    shares = vote_fractions(after, frames, 1, unseen)[:, 0]
    share = sum(int(mask.sum()) for mask in masks.values()) / max(covered, 1)
    return Unobserved(masks, share, shares >= SELECTED)


def _unseen_pixels(
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
    is_seen = torch.zeros_like(is_hit)
    for photo in photographed:
        is_seen |= photo.sees(world)
    mask = torch.zeros_like(footprint)
    mask[rows, columns] = ~(is_seen & is_hit)
    return mask


def _depth(view: ProjectedGaussians) -> Float[Tensor, "h w"]:
    """The expected depth; infinite where nothing is hit."""
    with torch.no_grad():
        rendered = rasterize(view, view.colors[:, :1].contiguous(), depth=True)
    assert rendered.depth is not None
    return torch.where(rendered.alpha >= MIN_COVERAGE, rendered.depth, torch.inf)
