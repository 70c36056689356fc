"""OmniSeg3D's `sam/0001.npz`: a photo's patches, and how many masks each two of them share.

`indices` [h, w] is the patch of each pixel: pixels that lie in the very same masks. `correlation`
[p, p] counts the masks that hold both patches, on its diagonal those that hold the patch at all.
The masks themselves are not stored. Those around a patch that nest in one another, and so form a
chain, follow from its row: the patches that share at least t masks with it are the t-th mask from
the outside. A patch in masks that overlap only partly has no such chain and is passed over; that
loses a mask only if all of its patches are like that, and never makes one up.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Integer

from splatseg.errors import SplatsegError
from splatseg.masks import rle
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, match
from splatseg.masks.formats.source import files_in
from splatseg.masks.segments import Segments

ARRAYS = ("indices", "correlation")


def masks_of_patches(correlation: Integer[np.ndarray, "p p"]) -> Bool[np.ndarray, "m p"]:
    """Which patches each mask holds, for every mask around a patch whose masks form a chain.

    Masks that hold the same patches are one.
    """
    counts = correlation.astype(np.int32)
    masks: dict[bytes, None] = {}
    for row in counts:
        # A chain: two patches share at least what both share with this one.
        if (counts < np.minimum(row[:, None], row[None, :])).any():
            continue
        for depth in np.unique(row[row > 0]):
            masks[(row >= depth).tobytes()] = None
    flat = np.frombuffer(b"".join(masks), dtype=bool)
    return flat.reshape(len(masks), len(counts))


def _fits(source: Path) -> bool:
    return bool(files_in(source, ".npz"))


def _open(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    entries = [
        Entry(name, str(path), partial(_read, path)) for name, path in files_in(source, ".npz")
    ]
    return match(source, entries, photos)


def _read(path: Path, photo_size: tuple[int, int]) -> Segments:
    indices, correlation = _load(path)
    masks = masks_of_patches(correlation)
    check_count(str(path), len(masks))
    height, width = indices.shape
    rles = tuple(rle.encode(mask[indices]) for mask in masks)
    unknown = np.full(len(rles), np.nan)
    return Segments(height, width, rles, unknown, unknown)


def _load(path: Path) -> tuple[Int[np.ndarray, "h w"], Integer[np.ndarray, "p p"]]:
    indices, correlation = _arrays(path)
    problem = _problem(indices, correlation)
    if problem:
        raise SplatsegError(
            f"{path} is not OmniSeg3D's: {problem}",
            remedy="make it again with run_sam.py",
        )
    return indices.astype(np.intp), correlation


def _arrays(path: Path) -> tuple[np.ndarray, ...]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            found = ", ".join(stored) or "nothing"
            if set(ARRAYS) <= set(stored):
                return tuple(stored[name] for name in ARRAYS)
    except MemoryError:
        raise
    except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged file
        if "allow_pickle" in str(error):
            raise SplatsegError(
                f"{path} holds Python objects, which are not unpickled",
                remedy=f"save {' and '.join(ARRAYS)} as arrays of numbers with numpy.savez",
            ) from error
        raise SplatsegError(
            f"{path} cannot be read as numpy's .npz ({error})",
            remedy="it may be half written: make it again",
        ) from error
    raise SplatsegError(
        f"{path} holds {found}",
        expected=(
            f"{' and '.join(ARRAYS)}, as OmniSeg3D's run_sam.py writes them into the folder sam"
        ),
    )


def _problem(indices: np.ndarray, correlation: np.ndarray) -> str | None:
    """What is wrong with the two arrays, in words."""
    for name, array in zip(ARRAYS, (indices, correlation), strict=True):
        if array.dtype.kind not in "iu" or array.ndim != 2 or 0 in array.shape:
            shape = list(array.shape)
            return f"{name} is {array.dtype} {shape}, not a table of whole numbers"
    patches = len(correlation)
    if correlation.shape != (patches, patches) or not (correlation == correlation.T).all():
        return f"correlation {list(correlation.shape)} is not square and symmetric"
    if indices.min() < 0 or indices.max() >= patches:
        return f"indices goes from {indices.min()} to {indices.max()} for {patches} patches"
    return None


OMNISEG3D = Format("OmniSeg3D's sam/*.npz", _fits, _open)
