"""The photos behind a scene's frames, and what the scene shows in their place."""

from pathlib import Path

import torch

from splatseg.capture import Frame
from splatseg.capture.photo import read_photo
from splatseg.images import RGB, to_uint8
from splatseg.render import render
from splatseg.scene.scene import Scene


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
    """The scene as the frame's working camera sees it."""
    with torch.no_grad():
        return to_uint8(render(scene.gaussians, frame.camera).image)
