"""Pictures of an edit: views before and after it, and the unobserved regions of its result."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.editing.unobserved import UnobservedRegions
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import RGB, AnyRGB
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.scene.photos import rendered_color
from splatseg.segmentation.selection import weights_margin
from splatseg.viz.montages import montage

MONTAGE_VIEWS = 3
MONTAGE_CELL = 480  # pixels
HATCH = (226, 0, 116)
HATCH_TINT = 0.4  # fraction of the hatching's color between its lines
HATCH_PERIOD = 1 / 60  # of a picture's width, from line to line; a line takes a third of it


def views_of(
    gaussians: Gaussians, weights: Float[Tensor, " n"], frames: Sequence[Frame]
) -> list[Frame]:
    """MONTAGE_VIEWS views that show an object well, spread over all views.

    The frames are divided into as many parts, in order; each gives the view with the most pixels
    of the object. `weights` are how much of each Gaussian belongs to it, in [0, 1].
    """
    areas = [
        int((weights_margin(gaussians, project(gaussians, frame.camera), weights) >= 0).sum())
        for frame in frames
    ]
    parts = np.array_split(np.arange(len(frames)), min(MONTAGE_VIEWS, len(frames)))
    return [frames[max(part.tolist(), key=lambda index: areas[index])] for part in parts]


def before_and_after(before: Scene, after: Scene, frames: Sequence[Frame]) -> AnyRGB:
    """A montage of both scenes in these views, side by side."""
    rows = [[rendered_color(scene, frame) for scene in (before, after)] for frame in frames]
    return montage(rows, ["before", "after"], MONTAGE_CELL)


def unobserved_montage(after: Scene, regions: UnobservedRegions) -> AnyRGB:
    """The views with most unobserved pixels, which are hatched."""
    frames = sorted(after.frames, key=lambda frame: -int(regions.masks[frame.name].sum()))
    rows = [
        [hatched(rendered_color(after, frame), regions.masks[frame.name].cpu().numpy())]
        for frame in frames[:MONTAGE_VIEWS]
    ]
    return montage(rows, ["hatched: never photographed"], MONTAGE_CELL)


def hatched(image: RGB, mask: Bool[np.ndarray, "h w"]) -> RGB:
    """The image with the pixels of `mask` tinted, under slanted lines."""
    height, width = mask.shape
    period = max(3, round(HATCH_PERIOD * width))
    rows, columns = np.ogrid[:height, :width]
    is_line = (rows + columns) % period < max(1, period // 3)
    tint = np.where(mask, np.where(is_line, 1.0, HATCH_TINT), 0.0)[..., None]
    return ((1 - tint) * image + tint * np.array(HATCH)).round().astype(np.uint8)
