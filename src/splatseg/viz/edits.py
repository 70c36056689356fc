"""Pictures of an edit: views before and after it, and what no photo shows of the result."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.editing.unobserved import Unobserved
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import RGB, AnyRGB
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.scene.photos import rendered_color
from splatseg.segmentation.selection import weights_margin
from splatseg.viz.montages import montage

SHEET_VIEWS = 3
SHEET_CELL = 480  # pixels
HATCH = (226, 0, 116)
HATCH_TINT = 0.4  # share of the hatching's color between its lines
HATCH_PERIOD = 1 / 60  # of a picture's width, from line to line; a line takes a third of it


def views_of(
    gaussians: Gaussians, weights: Float[Tensor, " n"], frames: Sequence[Frame]
) -> list[Frame]:
    """The views to show an object in: of every SHEET_VIEWS-th part of all, that with most of it."""
    areas = [
        int((weights_margin(gaussians, project(gaussians, frame.camera), weights) >= 0).sum())
        for frame in frames
    ]
    parts = np.array_split(np.arange(len(frames)), min(SHEET_VIEWS, len(frames)))
    return [frames[max(part.tolist(), key=lambda index: areas[index])] for part in parts]


def before_and_after(before: Scene, after: Scene, frames: Sequence[Frame]) -> AnyRGB:
    """Both scenes in these views, side by side."""
    rows = [[rendered_color(scene, frame) for scene in (before, after)] for frame in frames]
    return montage(rows, ["before", "after"], SHEET_CELL)


def unobserved_montage(after: Scene, unseen: Unobserved) -> AnyRGB:
    """The views that show most of what was never photographed, which is hatched."""
    frames = sorted(after.frames, key=lambda frame: -int(unseen.masks[frame.name].sum()))
    rows = [
        [hatched(rendered_color(after, frame), unseen.masks[frame.name].cpu().numpy())]
        for frame in frames[:SHEET_VIEWS]
    ]
    return montage(rows, ["hatched: never photographed"], SHEET_CELL)


def hatched(image: RGB, mask: Bool[np.ndarray, "h w"]) -> RGB:
    """The image with the pixels of `mask` tinted, under slanted lines."""
    height, width = mask.shape
    period = max(3, round(HATCH_PERIOD * width))
    rows, columns = np.ogrid[:height, :width]
    is_line = (rows + columns) % period < max(1, period // 3)
    share = np.where(mask, np.where(is_line, 1.0, HATCH_TINT), 0.0)[..., None]
    return ((1 - share) * image + share * np.array(HATCH)).round().astype(np.uint8)
