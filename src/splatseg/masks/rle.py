"""COCO's run-length encoding of a binary mask, and the only door to pycocotools.

Pixels are read column by column, top to bottom; the runs alternate between 0 and 1 and start with
0s, so the first may be empty. Compressed, every run is a printable number in base 32, from the
fourth on as its difference to the run two before. A mask has one canonical form: no empty run but
the first.

pycocotools trusts the runs it is given (a number without an end is read past the buffer), so runs
from outside pass `canonical` first. Its `decode` is not used: it leaves memory uninitialized where
runs are too few, and warns under numpy 2. Nor is its `area`, which takes 255 masks at most.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from pycocotools import mask as untyped_coco

coco: Any = untyped_coco  # stubs that type checkers bring along are narrower than its functions

MAX_PIXELS = 2**31 - 1  # pycocotools counts them in 32 bits
MAX_DIGITS = 7  # base-32 digits of a run length: 35 bits, more than any image has pixels


def encode(mask: Bool[np.ndarray, "h w"]) -> bytes:
    """The compressed, canonical form."""
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]


def decode(rle: bytes, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask; `rle` is canonical and has `height` x `width` pixels."""
    return _fill(run_lengths(rle.decode("ascii")), height, width)


def areas(rles: Sequence[bytes]) -> Int64[np.ndarray, " n"]:
    """Pixels inside each mask."""
    return np.array([run_lengths(rle.decode("ascii"))[1::2].sum() for rle in rles], dtype=np.int64)


def boxes(rles: Sequence[bytes], height: int, width: int) -> Int64[np.ndarray, "n 4"]:
    """x, y, width, height of the smallest box around each mask; all 0 for an empty one."""
    found = np.asarray(coco.toBbox(_coco_dicts(rles, height, width)), dtype=np.int64)
    return found.reshape(-1, 4)


def intersections(rles: Sequence[bytes], height: int, width: int) -> Int64[np.ndarray, "n n"]:
    """Pixels that each two masks share; pairs whose boxes do not meet cost next to nothing."""
    coded = _coco_dicts(rles, height, width)
    # Against a "crowd", COCO's IoU is the share of the first mask that lies in the second.
    shares = np.asarray(coco.iou(coded, coded, [True] * len(rles)), dtype=np.float64)
    return np.rint(shares.reshape(len(rles), len(rles)).T * areas(rles)).astype(np.int64)


def union_area(rles: Sequence[bytes], height: int, width: int) -> int:
    """Pixels inside any of the masks."""
    if not rles:
        return 0
    union = coco.merge(_coco_dicts(rles, height, width))["counts"]
    return int(areas([union])[0])


def canonical(counts: str | Sequence[int], height: int, width: int) -> bytes:
    """The canonical form of runs from outside, compressed (text) or not (a list of lengths).

    Raises ValueError, with the reason, for runs that are not a mask of that size.
    """
    runs = run_lengths(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
    n_pixels = height * width
    if (runs < 0).any() or (runs > n_pixels).any() or runs.sum() != n_pixels:
        raise ValueError(f"its runs do not add up to {width}x{height} pixels")
    if isinstance(counts, str) and runs[1:].all():
        return counts.encode("ascii")
    return encode(_fill(runs, height, width))


def from_polygons(polygons: list[Any], height: int, width: int) -> bytes:
    """The canonical form of a union of polygons, each a list x0, y0, x1, y1, … in pixels.

    A pixel is inside where pycocotools says so. Raises ValueError, with the reason, for what is no
    list of polygons about an image of that size.
    """
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(f"its image is {width}x{height}")
    for polygon in polygons:
        _check_polygon(polygon, height, width)
    parts = coco.frPyObjects([[float(number) for number in p] for p in polygons], height, width)
    return canonical(coco.merge(parts)["counts"].decode("ascii"), height, width)


def run_lengths(counts: str) -> Int64[np.ndarray, " r"]:
    """The lengths that compressed counts spell; ValueError if they are not such a text."""
    digits = np.frombuffer(counts.encode("latin-1"), dtype=np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero((digits & 0x20) == 0)  # bit 5: the number goes on
    if (digits < 0).any() or (digits > 0x3F).any() or (digits.size and digits[-1] & 0x20):
        raise ValueError("its counts are not a compressed run-length code")
    if ends.size == 0:
        return np.zeros(0, dtype=np.int64)
    n_digits = np.diff(ends, prepend=-1)
    if n_digits.max() > MAX_DIGITS:
        raise ValueError("its counts hold a number that is too large for an image")
    starts = ends + 1 - n_digits
    place = np.arange(digits.size) - np.repeat(starts, n_digits)
    runs = np.add.reduceat((digits & 0x1F) << (5 * place), starts)
    runs -= np.where(digits[ends] & 0x10, np.int64(1) << (5 * n_digits), 0)  # bit 4: the sign
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _check_polygon(polygon: Any, height: int, width: int) -> None:
    """pycocotools takes four numbers for a box, and memory in proportion to the coordinates."""
    if not isinstance(polygon, list) or any(type(number) not in (int, float) for number in polygon):
        raise ValueError("its polygon is not a list of numbers")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(
            f"its polygon has {len(polygon)} numbers, not x and y of three points or more"
        )
    for numbers, size in ((polygon[::2], width), (polygon[1::2], height)):
        if not all(-size <= number <= 2 * size for number in numbers):  # false for NaN
            raise ValueError(f"its polygon lies far outside its {width}x{height} image")


def _fill(runs: Int64[np.ndarray, " r"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    values = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return values.reshape(height, width, order="F")


def _coco_dicts(rles: Sequence[bytes], height: int, width: int) -> list[Any]:
    return [{"size": [height, width], "counts": rle} for rle in rles]
