"""SegAnyGAussians' `sam_masks/0001.pt`: one tensor a photo, N H W, true or 1 inside.

Its first version squashed every mask to 200 x 200, whatever the photo's shape; they are stretched
back, and no finer than they were. Later versions keep the shape of the images that SAM saw, those
in `images` or, downscaled, in `images_4` and the like.
"""

import logging
import math
import warnings
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from PIL import Image
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.masks import rle
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, match
from splatseg.masks.formats.source import files_in
from splatseg.masks.segments import Segments

SQUASHED = (200, 200)  # rows and columns
STRETCHED_LONGEST_SIDE = 1000  # pixels: what training works at by default; more would be invented

log = logging.getLogger(__name__)


def _fits(source: Path) -> bool:
    return bool(files_in(source, ".pt"))


def _open(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    entries = [
        Entry(name, str(path), partial(_read, path)) for name, path in files_in(source, ".pt")
    ]
    matched = match(source, entries, photos)
    frame, first = next(iter(matched.items()))
    if _is_squashed(_load(Path(first.place)), photos[frame].size):
        log.warning(
            "%s: SegAnyGAussians squashed its masks to %dx%d; they are stretched back to the "
            "photos' shape and no finer than that",
            source, *SQUASHED,
        )  # fmt: skip
    return matched


def _read(path: Path, photo_size: tuple[int, int]) -> Segments:
    masks = _load(path)
    check_count(str(path), len(masks))
    height, width = masks.shape[1:]
    is_squashed = _is_squashed(masks, photo_size)
    if is_squashed:
        width, height = _stretched_size(photo_size)
    rles = []
    for mask in masks:
        inside = _inside(path, mask)
        rles.append(rle.encode(_stretched(inside, width, height) if is_squashed else inside))
    unknown = np.full(len(rles), np.nan)
    return Segments(height, width, tuple(rles), unknown, unknown)


def _load(path: Path) -> Shaped[Tensor, "n h w"]:
    """The tensor, mapped rather than read where the file allows it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what a damaged file seems to be
            masks = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except MemoryError:
        raise
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise SplatsegError(
            f"{path} cannot be read as a tensor, and nothing else is unpickled",
            remedy="it may be half written or not be SegAnyGAussians': make it again",
        ) from error
    if not isinstance(masks, Tensor) or masks.ndim != 3 or 0 in masks.shape[1:]:
        found = list(masks.shape) if isinstance(masks, Tensor) else f"a {type(masks).__name__}"
        raise SplatsegError(
            f"{path} holds {found}",
            expected=(
                "masks [n, height, width] as in SegAnyGAussians' sam_masks, not in its "
                "features or mask_scales"
            ),
        )
    return masks


def _inside(path: Path, mask: Shaped[Tensor, "h w"]) -> Bool[np.ndarray, "h w"]:
    inside = mask == 1
    if not (inside | (mask == 0)).all():
        raise SplatsegError(
            f"{path} holds a {mask.dtype} tensor with values other than 0 and 1",
            expected="masks as in SegAnyGAussians' sam_masks, not in its features",
        )
    return inside.numpy()


def _is_squashed(masks: Shaped[Tensor, "n h w"], photo_size: tuple[int, int]) -> bool:
    width, height = photo_size
    return tuple(masks.shape[1:]) == SQUASHED and width != height


def _stretched_size(photo_size: tuple[int, int]) -> tuple[int, int]:
    factor = math.ceil(max(photo_size) / STRETCHED_LONGEST_SIDE)
    width, height = photo_size
    return max(1, round(width / factor)), max(1, round(height / factor))


def _stretched(
    inside: Bool[np.ndarray, "h w"], width: int, height: int
) -> Bool[np.ndarray, "height width"]:
    """Bilinear, for smooth outlines; a pixel is inside where more than half of it is."""
    gray = Image.fromarray(inside.astype(np.uint8) * 255)
    return np.asarray(gray.resize((width, height), Image.Resampling.BILINEAR)) > 127


SAGA = Format("SegAnyGAussians' sam_masks/*.pt", _fits, _open)
