"""The part/whole score: whether an instance is a part of a larger one or rests on it.

Masks cannot tell: a lemon on a plate and a cap on a bottle both have masks of their own, and masks
together with what carries them. The geometry between them can, in part. Along the outline that the
smaller instance shares with the rest of the larger one, a separate object either occludes it, so
that depth jumps, or meets it in a concave edge; parts continue smoothly or meet in a convex edge
(convexity as in Stein et al., Object Partitioning using Local Convexity, CVPR 2014).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy import ndimage
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import project, rasterize
from splatseg.render.labels import CHANNELS_AT_ONCE

STEP = 4  # pixels between the two sides of an outline that are compared: blending softens edges
NORMAL_STEP = 2  # pixels on either side, for a surface's normal
SMOOTHING = 1.0  # pixels: of the surface, before its normals are taken
JUMP = 0.2  # of the smaller instance's size: less is no step in depth
SLANT = 2.5  # pixels of depth for each pixel across: a smooth surface is at most so steep
CONCAVE = 0.3  # sine, about, of the angle by which an edge must be concave
MIN_PART_PIXELS = 30
MIN_WHOLE_PIXELS = 60
MIN_BOUNDARY = 20  # pairs of pixels over all views; with fewer, nothing connects the two
COVERED = 0.5  # blending weight above which a pixel shows an instance


@dataclass(frozen=True, eq=False)
class Surface:
    """The scene's surface in a view."""

    depth: Float[np.ndarray, "h w"]
    points: Float[np.ndarray, "h w 3"]
    """In the camera's frame."""
    normals: Float[np.ndarray, "h w 3"]
    """Towards the camera."""


def part_whole_scores(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    instances: Bool[np.ndarray, "n k"],
    pairs: Sequence[tuple[int, int]],
    progress: Progress = SILENT,
) -> Float64[np.ndarray, " p"]:
    """For each (whole, part) of `instances`: the fraction of their shared outline that parts them.

    `instances` are columns of Gaussians. In [0, 1]; 1 where nothing connects the two. The stage is
    "finding objects".
    """
    counts = np.zeros((len(pairs), 3))
    columns = torch.from_numpy(instances).to(gaussians.means.device)
    for index, frame in enumerate(frames):
        progress.update("finding objects", index, len(frames))
        masks, depth = _render(gaussians, frame, columns)
        surface = surface_of(depth, frame.camera)
        for row, (whole, part) in enumerate(pairs):
            counts[row] += boundary_counts(surface, masks[whole], masks[part], frame.camera.fx)
    length, jumps, concave = counts.T
    flat = length - jumps
    parted = jumps + np.where(flat > 0, concave, 0)
    return np.where(length < MIN_BOUNDARY, 1.0, parted / np.maximum(length, 1))


def _render(
    gaussians: Gaussians, frame: Frame, instances: Bool[Tensor, "n k"]
) -> tuple[Bool[np.ndarray, "k h w"], Float[np.ndarray, "h w"]]:
    """Masks of the instances, and depth."""
    view = project(gaussians, frame.camera)
    masks, depth = [], None
    with torch.no_grad():
        for part in instances.split(CHANNELS_AT_ONCE, dim=1):
            rendered = rasterize(view, part.float(), depth=True)
            masks.append((rendered.image > COVERED).permute(2, 0, 1).cpu().numpy())
            depth = rendered.depth
    assert depth is not None  # there is a pair, so there are instances
    return np.concatenate(masks), depth.cpu().numpy()


def surface_of(depth: Float[np.ndarray, "h w"], camera: Camera) -> Surface:
    """Points and normals of a depth map; no normal (0) within NORMAL_STEP of the image border."""
    points = camera.rays(camera.pixel_centers()).numpy() * depth[..., None]
    smooth = ndimage.gaussian_filter(points, (SMOOTHING, SMOOTHING, 0))
    step = NORMAL_STEP
    across, down = np.zeros_like(points), np.zeros_like(points)
    across[:, step:-step] = smooth[:, 2 * step :] - smooth[:, : -2 * step]
    down[step:-step] = smooth[2 * step :] - smooth[: -2 * step]
    normals = np.cross(down, across)
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    away = np.sign((normals * points).sum(axis=-1, keepdims=True))
    return Surface(depth, points, -away * normals / np.maximum(lengths, 1e-12))  # no 0 / 0


def boundary_counts(
    surface: Surface, whole: Bool[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"], focal: float
) -> Float64[np.ndarray, " 3"]:
    """In one view: pairs of pixels across the shared outline, and how many jump or are concave.

    A pair is a pixel of the part and one of the rest of the whole, STEP pixels apart.
    """
    counts = np.zeros(3)
    area = np.count_nonzero(part)
    if area < MIN_PART_PIXELS or np.count_nonzero(whole) < MIN_WHOLE_PIXELS:
        return counts
    window = ndimage.find_objects(ndimage.binary_dilation(part, iterations=STEP).view(np.int8))[0]
    inside, rest = part[window], (whole & ~part)[window]
    depth, points, normals = (
        array[window] for array in (surface.depth, surface.points, surface.normals)
    )
    size = np.sqrt(area) * np.median(depth[inside]) / focal
    for here, there in _neighbors(inside.shape):
        pairs = inside[here] & rest[there]
        if not pairs.any():
            continue
        step = np.abs(depth[there][pairs] - depth[here][pairs])
        jumps = step > np.maximum(JUMP * size, SLANT * STEP * depth[here][pairs] / focal)
        between = points[here][pairs] - points[there][pairs]
        turn = ((normals[here][pairs] - normals[there][pairs]) * between).sum(axis=1)
        concave = turn < -CONCAVE * np.linalg.norm(between, axis=1)
        counts += len(jumps), jumps.sum(), (concave & ~jumps).sum()
    return counts


def _neighbors(shape: tuple[int, ...]) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Slices of an image and of its four neighbors STEP pixels away."""
    full, first, last = slice(None), slice(None, -STEP), slice(STEP, None)
    if min(shape) <= STEP:
        return []
    left, right, upper, lower = (full, first), (full, last), (first, full), (last, full)
    return [(left, right), (right, left), (upper, lower), (lower, upper)]
