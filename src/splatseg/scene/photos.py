"""The photos behind a scene's frames, and what the scene shows in their place."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from splatseg.capture import Frame
from splatseg.capture.photo import read_photo
from splatseg.images import RGB, to_uint8
from splatseg.render import render
from splatseg.scene.scene import Scene

T = TypeVar("T")


def evenly_spaced(items: Sequence[T], count: int) -> list[T]:
    """`count` of `items`, or all of fewer, from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return [items[place] for place in places]


def photo_path(scene: Scene, frame: Frame) -> Path | None:
    """The photo of a frame; None where the capture has moved or lost it."""
    path = Path(scene.capture) / frame.photo
    return path if path.is_file() else None


def photo_or_render(scene: Scene, frame: Frame) -> RGB:
    """The photo as shipped, or in its place the scene rendered on the photo's grid."""
    path = photo_path(scene, frame)
    if path is not None:
        return read_photo(path, like=(frame.lens.width, frame.lens.height))
    return render_as_photo(scene, frame)


def render_as_photo(scene: Scene, frame: Frame) -> RGB:
    """The scene rendered on the photo's grid, pixel for pixel."""
    return frame.lens.warp_to_photo(rendered_color(scene, frame), nearest=False)


def rendered_color(scene: Scene, frame: Frame) -> RGB:
    """The scene as the frame's undistorted camera sees it."""
    with torch.no_grad():
        return to_uint8(render(scene.gaussians, frame.camera).image)
