"""Images as arrays: uint8 RGB, H W 3, and PNG files of them.

This is the base of all that makes pictures; what they show is decided in viz/.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8, UInt16
from PIL import Image
from torch import Tensor

from splatseg.files import replacing_file

RGB = UInt8[np.ndarray, "h w 3"]
AnyRGB = UInt8[np.ndarray, "_ _ 3"]  # of a size of its own


def to_uint8(image: Float[Tensor, "h w 3"]) -> RGB:
    """Colors in [0, 1], clipped, as bytes."""
    return (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def scaled(image: AnyRGB, width: int) -> AnyRGB:
    """The image at another width, with its proportions."""
    picture = Image.fromarray(image)
    height = max(1, round(picture.height * width / picture.width))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def save_mask(path: Path, mask: Bool[np.ndarray, "h w"]) -> None:
    """A mask as an 8-bit PNG, 255 inside."""
    save_image(path, np.where(mask, np.uint8(255), np.uint8(0)))


def save_image(path: Path, image: UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w"]) -> None:
    """An image as PNG, whole or not at all."""
    with replacing_file(path, image.nbytes) as new:
        Image.fromarray(image).save(new, format="PNG")
