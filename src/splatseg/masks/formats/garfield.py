"""GARField's `sam_data.hdf5`: the masks that each pixel of each training image lies in.

MODEL/pixel_level_keys/K [h, w, n] holds the ids of the masks at a pixel of the K-th image, from the
smallest mask on, -1 where there are fewer than n; MODEL is `sam_hf`, `sam_fb` or `maskformer`.
Beside them lie `scale_3d` and `group_cdf`, which are not read. GARField smooths SAM's masks by a
vote of 3 x 3 pixels and drops those that are larger than 2 in its scene's units.

The file names no image. GARField's images are nerfstudio's training images, in order of their path:
all, or ceil(0.99 n) of them, evenly spaced, as its configuration sets.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Integer

from splatseg.errors import SplatsegError
from splatseg.masks import rle
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, count_missing
from splatseg.masks.segments import Segments

SUFFIXES = (".hdf5", ".h5")
KEYS = "pixel_level_keys"
TRAIN_FRACTION = 0.99  # train_split_fraction in GARField's configuration

log = logging.getLogger(__name__)


def _fits(source: Path) -> bool:
    return _file(source) is not None


def _file(source: Path) -> Path | None:
    """The one HDF5 file at or in `source`."""
    places = [source] if source.is_file() else sorted(source.iterdir())
    found = [path for path in places if path.suffix.lower() in SUFFIXES and path.is_file()]
    return found[0] if len(found) == 1 else None


def _open(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    path = _file(source)
    if path is None:
        raise SplatsegError(
            f"{source} holds no sam_data.hdf5, or several .hdf5 files",
            remedy="name one",
        )
    with _opened(path) as file:
        group = _only_group(path, file)
        count = _count_images(path, group)
        name = group.name
    frames = _training_frames(path, photos, count)
    log.warning(
        "%s names no photo: its %d images are taken for the capture's in order of name, the first "
        "for %s, the last for %s; make sure that GARField had the same photos",
        path, count, frames[0], frames[-1],
    )  # fmt: skip
    count_missing(path, len(photos) - count, len(photos))
    return {
        frame: Entry(str(k), f"{path} ({name}/{KEYS}/{k})", partial(_read, path, name, k))
        for k, frame in enumerate(frames)
    }


def _only_group(path: Path, file: Any) -> Any:
    groups = [file[name] for name in file if hasattr(file[name], "keys") and KEYS in file[name]]
    if len(groups) != 1:
        found = ", ".join(group.name for group in groups) or ", ".join(file) or "nothing"
        raise SplatsegError(
            f"{path} holds {found}",
            expected=(
                f"one group with {KEYS}, as GARField writes it: if there are several, copy "
                "the one you want to a file of its own"
            ),
        )
    return groups[0]


def _count_images(path: Path, group: Any) -> int:
    names = set(group[KEYS])
    if not names or names != {str(k) for k in range(len(names))}:
        raise SplatsegError(
            f"{path} does not number the images under {group.name}/{KEYS} from 0 to "
            f"{len(names) - 1}",
            remedy="it may be half written: make it again with GARField",
        )
    return len(names)


def _training_frames(path: Path, photos: Mapping[str, Photo], count: int) -> list[str]:
    """The frame of each image."""
    frames = sorted(photos, key=lambda frame: PurePosixPath(photos[frame].file_name))
    if count not in (len(frames), math.ceil(len(frames) * TRAIN_FRACTION)):
        raise SplatsegError(
            f"{path} has masks of {count} images and names none of them, but the capture has "
            f"{len(frames)} photos, so that which is which is not known",
            expected=(
                f"masks of all photos, or of {math.ceil(len(frames) * TRAIN_FRACTION)} as "
                "GARField splits them"
            ),
        )
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count, dtype=int)]


def _read(path: Path, group: str, index: int, photo_size: tuple[int, int]) -> Segments:
    with _opened(path) as file:
        keys = file[f"{group}/{KEYS}/{index}"]
        if getattr(keys, "ndim", 0) != 3 or keys.dtype.kind not in "iu":
            raise SplatsegError(
                f"{path} holds no ids [height, width, n] in {group}/{KEYS}/{index}",
                expected="GARField's: make it again",
            )
        layers = np.moveaxis(keys[...], 2, 0)
    return _segments(f"{path} ({group}/{KEYS}/{index})", layers)


def _segments(place: str, layers: Integer[np.ndarray, "n h w"]) -> Segments:
    ids = np.unique(layers[layers >= 0])
    check_count(place, len(ids))
    height, width = layers.shape[1:]
    small = np.ascontiguousarray(layers, dtype=np.int32)  # stored in 64 bits, and not in layers
    unknown = np.full(len(ids), np.nan)
    rles = tuple(rle.encode((small == mask_id).any(axis=0)) for mask_id in ids)
    return Segments(height, width, rles, unknown, unknown)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise SplatsegError(f"reading {path} needs h5py: pip install splatseg[formats]") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (SplatsegError, MemoryError):
        raise
    except Exception as error:  # h5py raises half a dozen kinds for a damaged file
        raise SplatsegError(
            f"{path} cannot be read as HDF5 ({error})",
            remedy=(
                "it may be half written or open in another program: close that, or make it again"
            ),
        ) from error


GARFIELD = Format("GARField's sam_data.hdf5", _fits, _open)
