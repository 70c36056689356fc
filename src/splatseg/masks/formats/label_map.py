"""Label maps: a PNG a photo, each label one mask, 0 unlabeled.

Contrastive Gaussian Clustering reads `seg_masks/0001.png` and Gaussian Grouping writes
`object_mask/0001.png`, of 8 bits. The tracker behind the latter, DEVA, writes colors instead where
a video may have more than 255 objects: R + 256 G + 256² B is the label.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from splatseg.errors import SplatsegError
from splatseg.masks.files import read_ids
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, match
from splatseg.masks.formats.source import files_in
from splatseg.masks.segments import Segments

MIN_PIXELS_PER_LABEL = 16  # on average; photos and shaded pictures have a color every few pixels


def _fits(source: Path) -> bool:
    return bool(files_in(source, ".png"))


def _open(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    entries = [
        Entry(name, str(path), partial(_read, path)) for name, path in files_in(source, ".png")
    ]
    return match(source, entries, photos)


def _read(path: Path, photo_size: tuple[int, int]) -> Segments:
    ids = read_ids(path)
    _check_labels(path, ids)
    return Segments.from_label_map(ids)


def _check_labels(path: Path, ids: Integer[np.ndarray, "h w"]) -> None:
    count = len(np.unique(ids[ids > 0]))
    if count * MIN_PIXELS_PER_LABEL > ids.size and count > 255:
        raise SplatsegError(
            f"{path} has {count} labels in {ids.size} pixels",
            expected="a label map, which a photo or a shaded preview is not",
        )
    check_count(str(path), count)


LABEL_MAP = Format(
    "label-map PNGs (CGC's seg_masks, Gaussian Grouping's object_mask)", _fits, _open
)
