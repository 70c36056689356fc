"""Pictures on disk, and the photos behind a scene's frames."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image

from splatseg.capture import Frame
from splatseg.capture.photo import read_photo
from splatseg.files import replacing_file
from splatseg.pictures import RGB, to_uint8
from splatseg.render import render
from splatseg.scene import Scene


def photo_path(scene: Scene, frame: Frame) -> Path | None:
    """The photo of a frame; None where the capture has moved or lost it."""
    path = Path(scene.capture) / frame.photo
    return path if path.is_file() else None


def photo_or_render(scene: Scene, frame: Frame) -> RGB:
    """The photo as shipped, or in its place the scene rendered on the photo's grid."""
    path = photo_path(scene, frame)
    if path is not None:
        return read_photo(path, like=(frame.lens.width, frame.lens.height))
    return frame.lens.warp_to_photo(rendered_color(scene, frame), nearest=False)


def rendered_color(scene: Scene, frame: Frame) -> RGB:
    """The scene as the frame's working camera sees it."""
    with torch.no_grad():
        return to_uint8(render(scene.gaussians, frame.camera).image)


def save_mask(path: Path, mask: Bool[np.ndarray, "h w"]) -> None:
    """A mask as an 8-bit PNG, 255 inside."""
    save_image(path, np.where(mask, np.uint8(255), np.uint8(0)))


def save_image(path: Path, image: UInt8[np.ndarray, "h w *c"]) -> None:
    """An 8-bit image as PNG, whole or not at all."""
    with replacing_file(path, image.nbytes) as new:
        Image.fromarray(image).save(new, format="PNG")
