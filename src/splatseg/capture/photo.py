"""Photo files: their size from the header, and their pixels as 8-bit RGB.

A camera may tell by EXIF that the viewer should turn its photo. Whether the poses are those of the
photo as stored or as turned is seen from the size they were computed for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from splatseg.errors import SplatsegError

SAME_SHAPE_PIXELS = 1.0  # shrinking a photo rounds each side, so shapes agree to about a pixel
TURNED_BY_A_QUARTER = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


def same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two (width, height) are one image at two sizes."""
    small, large = sorted((a, b), key=max)
    ratio = max(small) / max(large)
    return all(abs(s - ratio * e) <= SAME_SHAPE_PIXELS for s, e in zip(small, large, strict=True))


def photo_size(path: Path, like: tuple[int, int] | None = None) -> tuple[int, int]:
    """(width, height) from the header, turned as EXIF says if only then it has `like`'s shape."""
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if _is_turned(image, like) else (width, height)


def read_photo(path: Path, like: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The photo's pixels; 16-bit, grey, CMYK and palette photos become 8-bit RGB."""
    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image) if _is_turned(image, like) else image
        return np.array(_eight_bit(turned).convert("RGB"))


def _is_turned(image: Image.Image, like: tuple[int, int] | None) -> bool:
    width, height = image.size
    if like is None or same_shape((width, height), like) or not same_shape((height, width), like):
        return False
    return image.getexif().get(ExifTags.Base.Orientation) in TURNED_BY_A_QUARTER


def _eight_bit(image: Image.Image) -> Image.Image:
    """Pillow clips 16-bit grey at 255 when it converts; keep the high byte instead."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SplatsegError(
            f"{path} cannot be read as a photo ({error}); replace the file or remove it"
        ) from error
