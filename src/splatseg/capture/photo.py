"""Photo files: their size from the header, and their pixels as 8-bit RGB.

A camera may tell by EXIF that the viewer should turn its photo. Whether the poses are those of the
photo as stored or as turned is seen from the size they were computed for.

HEIC is read through pillow-heif where it is installed. It is no dependency: its wheels bundle
codecs under the GPL and LGPL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile, ImageOps

from splatseg.errors import SplatsegError

SAME_SHAPE_PIXELS = 1.0  # shrinking a photo rounds each side, so shapes agree to about a pixel
TURNED_BY_A_QUARTER = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
UPRIGHT = 1  # EXIF's orientation of a photo that need not be turned
JPEG_QUALITY = 95
PNG_COMPRESSION = 1  # zlib's fastest: photos hardly shrink further
PLAIN_FORMATS = frozenset({"JPEG", "MPO", "PNG"})  # MPO: a phone's JPEG with more pictures behind
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
CAMERA_TAGS = (ExifTags.Base.Make, ExifTags.Base.Model)
FOCAL_TAGS = (
    ExifTags.Base.FocalLength,
    ExifTags.Base.FocalLengthIn35mmFilm,
    ExifTags.Base.FocalPlaneXResolution,
    ExifTags.Base.FocalPlaneYResolution,
    ExifTags.Base.FocalPlaneResolutionUnit,
)

# Phones make photos of 200 megapixels, which take 0.6 GB. Pillow warns from 89 megapixels on, for
# fear of tiny files that decode to a memory full of pixels, and refuses twice its limit.
MAX_PIXELS = 250_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class UnreadablePhoto(SplatsegError):
    """A file is no photo, or a broken one."""


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
    """The photo's pixels; 16-bit, gray, CMYK and palette photos become 8-bit RGB."""
    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image) if _is_turned(image, like) else image
        return np.array(_eight_bit_rgb(turned))


def check_photo(path: Path) -> None:
    """Refuse a photo that cannot be read to its end."""
    with _opened(path) as image:
        # JPEG alone heeds this: the file is read whole, and an eighth of the pixels are made.
        image.draft("L", (1, 1))
        image.load()


def is_plain(path: Path) -> bool:
    """Whether every program reads the photo alike: upright 8-bit RGB or gray, as JPEG or PNG."""
    with _opened(path) as image:
        deep = any(";16" in str(tile[3]) for tile in image.tile)  # 16-bit RGB is of mode RGB too
        return (
            image.format in PLAIN_FORMATS
            and image.mode in ("RGB", "L")
            and not deep
            and "transparency" not in image.info
            and image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) == UPRIGHT
        )


def write_plain(path: Path, target: Path, lossless: bool) -> None:
    """Write the photo as a plain one: a PNG if it is to be lossless, a JPEG otherwise.

    It keeps what EXIF says of the camera and its focal length, and the color profile if that is
    one for RGB. Transparency is dropped.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        pixels = _eight_bit_rgb(upright)
        profile = upright.info.get("icc_profile") if upright.mode.startswith("RGB") else None
        how: dict[str, Any] = {"exif": _lens_exif(image), "icc_profile": profile}
    if lossless:
        pixels.save(target, format="PNG", compress_level=PNG_COMPRESSION, **how)
    else:
        pixels.save(target, format="JPEG", quality=JPEG_QUALITY, **how)


def lens_tags(path: Path) -> tuple[str, ...]:
    """What EXIF says of camera and focal length; the same for photos taken through one lens."""
    with _opened(path) as image:
        tags = _lens_exif(image)
        return (str(dict(tags)), str(tags.get_ifd(ExifTags.IFD.Exif)))


@cache
def can_read_heic() -> bool:
    """Whether pillow-heif is installed; the first call that finds it makes Pillow use it."""
    try:
        pillow_heif = import_module("pillow_heif")
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _lens_exif(image: Image.Image) -> Image.Exif:
    """What the photo's EXIF data say of the camera and its focal length."""
    found, kept = image.getexif(), Image.Exif()
    kept.update({tag: found[tag] for tag in CAMERA_TAGS if tag in found})
    details = found.get_ifd(ExifTags.IFD.Exif)
    kept.get_ifd(ExifTags.IFD.Exif).update(
        {tag: details[tag] for tag in FOCAL_TAGS if tag in details}
    )
    return kept


def _is_turned(image: Image.Image, like: tuple[int, int] | None) -> bool:
    width, height = image.size
    if like is None or same_shape((width, height), like) or not same_shape((height, width), like):
        return False
    return image.getexif().get(ExifTags.Base.Orientation) in TURNED_BY_A_QUARTER


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    """RGB without transparency; of 16-bit gray, which Pillow would clip at 255, the high byte."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of palettes that lose it in one step
    return image.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    if path.suffix.lower() in HEIC_SUFFIXES and not can_read_heic():
        raise SplatsegError(
            f"{path} is a HEIC photo, and reading it needs pillow-heif: pip install pillow-heif, "
            "or export the photo as JPEG"
        )
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadablePhoto(
            f"{path} cannot be read as a photo ({error}); replace the file or remove it"
        ) from error
