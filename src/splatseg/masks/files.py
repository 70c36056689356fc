"""Mask files: SA-1B JSON (overlapping masks) and label-map PNG (one label a pixel, 0 unlabeled).

JSON: {"image": {"file_name", "width", "height"}, "annotations": [{"id", "segmentation": {"size":
[h, w], "counts"}, "bbox", "area", "predicted_iou", "stability_score"}]}. Counts are COCO's
compressed text or a list of run lengths. Boxes and areas are written, and computed anew when read;
an unknown quality is left out, and one that is missing or null is unknown. What splatseg itself
made says how, in a "splatseg" object after the image. PNG: 8 or 16 bit grayscale, or a palette,
whose indices are the labels.
"""

import io
import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.files import read_json, write_bytes
from splatseg.masks import rle
from splatseg.masks.segments import MAX_SEGMENTS, Segments

SUFFIXES = (".json", ".png")
EXPECTED_JSON = "the masks of a photo in SA-1B's form, or in that of another tool"
PROVENANCE = "splatseg"  # the field of a JSON that says how its masks were made

# Pillow's names of one-channel images; some of its versions give 16 bits as 32 ("I").
_DTYPE_OF_MODE = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I;16": np.uint16, "I": np.uint16}

COLOR_DIGITS = np.array([1, 256, 256**2], dtype=np.int32)  # as COCO panoptic writes ids

HEADER_BYTES = 4096  # both kinds of file say their size in the first hundred or so
PNG_HEADER = struct.Struct(">8x4x4sII")  # signature, chunk length, chunk type, width, height
# SA-1B and this package write the image first; elsewhere the size is not looked for.
SA1B_HEADER = re.compile(r'\s*\{\s*"image"\s*:\s*')

_IN_WORDS = {
    dict: "an object",
    list: "a list",
    int: "a whole number",
    str: "a text",
    (int, str): "a number or a text",
    (str, list): "run lengths",
}


def read_size(path: Path) -> tuple[int, int] | None:
    """(width, height) as the beginning of a mask file says; None where it says nothing of use.

    Far quicker than `read_segments`, which judges the rest of the file.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise SplatsegError(f"{path} cannot be read ({error})") from error
    if path.suffix.lower() == ".json":
        return _sa1b_size(head.decode(errors="replace"))
    if len(head) < PNG_HEADER.size:
        return None
    kind, width, height = PNG_HEADER.unpack_from(head)
    return (width, height) if kind == b"IHDR" else None


def read_segments(path: Path) -> Segments:
    """The masks in a .json or .png file."""
    if path.suffix.lower() == ".json":
        return _read_sa1b(path)
    if path.suffix.lower() == ".png":
        return Segments.from_label_map(read_label_map(path))
    raise SplatsegError(
        f"{path} is no mask file",
        expected="SA-1B .json or a label map .png",
    )


def write_segments(
    path: Path,
    segments: Segments,
    image_file_name: str,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write SA-1B JSON; `image_file_name` is the photo's, e.g. frame_00000.jpg.

    `maker` is kept in the file: what a program of ours made them with.
    """
    image = {"file_name": image_file_name, "width": segments.width, "height": segments.height}
    size = [segments.height, segments.width]
    boxes, areas = segments.boxes, segments.areas
    annotations = [
        {
            "id": index + 1,
            "segmentation": {"size": size, "counts": counts.decode("ascii")},
            "bbox": boxes[index].tolist(),
            "area": int(areas[index]),
            **_if_known("predicted_iou", segments.predicted_iou[index]),
            **_if_known("stability_score", segments.stability_score[index]),
        }
        for index, counts in enumerate(segments.rles)
    ]
    made = {} if provenance is None else {PROVENANCE: dict(provenance)}
    text = json.dumps({"image": image, **made, "annotations": annotations}, allow_nan=False)
    write_bytes(path, text.encode())


def read_label_map(path: Path) -> UInt[np.ndarray, "h w"]:
    """The labels of a PNG, in its own depth (uint8 or uint16)."""
    return _labels(path, *_decode_png(path))


def read_ids(path: Path) -> Integer[np.ndarray, "h w"]:
    """The labels of a PNG that may spell them by color: R + 256 G + 256² B, 0 is unlabeled."""
    mode, pixels = _decode_png(path)
    if mode == "RGB":
        return pixels.astype(np.int32) @ COLOR_DIGITS
    return _labels(path, mode, pixels)


def read_mask(path: Path, above: int) -> Bool[np.ndarray, "h w"]:
    """Where a PNG, in gray, is brighter than `above` (0 to 255).

    Raises:
        SplatsegError: it cannot be read, or is not black and yet nowhere so bright.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            gray = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SplatsegError(
            f"{path} cannot be read as PNG ({error})",
            remedy="write it again",
        ) from error
    if 0 < gray.max() <= above:
        raise SplatsegError(
            f"{path} is at most {gray.max()} bright and inside begins above {above}",
            expected="a mask with 255 inside",
        )
    return gray > above


def write_label_map(path: Path, label_map: Integer[np.ndarray, "h w"]) -> None:
    """Write labels as PNG, in 8 bits where they fit, else in 16."""
    lowest, highest = int(label_map.min()), int(label_map.max())
    if lowest < 0 or highest > MAX_SEGMENTS:
        raise SplatsegError(
            f"labels for {path} go from {lowest} to {highest}",
            expected=f"0 to {MAX_SEGMENTS}",
        )
    buffer = io.BytesIO()
    Image.fromarray(label_map.astype(np.min_scalar_type(highest))).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def _decode_png(path: Path) -> tuple[str, np.ndarray]:
    """Pillow's mode of the image, and its pixels."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SplatsegError(
            f"{path} cannot be read as PNG ({error})",
            remedy="write it again",
        ) from error


def _labels(path: Path, mode: str, pixels: np.ndarray) -> UInt[np.ndarray, "h w"]:
    if mode not in _DTYPE_OF_MODE:
        raise SplatsegError(
            f"{path} is a {mode} image",
            expected=(
                "one label a pixel (grayscale of 8 or 16 bits, or a palette): a color does "
                "not say which label it stands for"
            ),
        )
    return pixels.astype(_DTYPE_OF_MODE[mode])


def _read_sa1b(path: Path) -> Segments:
    data = read_json(path, EXPECTED_JSON)
    try:
        return parse_sa1b(data)
    except (ValueError, OverflowError) as error:
        raise SplatsegError(f"{path} is not an SA-1B mask file: {error}") from error


def _sa1b_size(text: str) -> tuple[int, int] | None:
    start = SA1B_HEADER.match(text)
    if start is None:
        return None
    try:
        image, _ = json.JSONDecoder().raw_decode(text, start.end())
        return field(image, "width", int), field(image, "height", int)
    except (ValueError, RecursionError):
        return None


def parse_sa1b(data: Any) -> Segments:
    """Segments from parsed JSON; ValueError with the reason if it is not SA-1B's."""
    image = field(data, "image", dict)
    width, height = field(image, "width", int), field(image, "height", int)
    if width < 1 or height < 1:
        raise ValueError(f"its image is {width}x{height}")
    return parse_annotations(field(data, "annotations", list), height, width)


def parse_annotations(annotations: list[Any], height: int, width: int) -> Segments:
    """Segments from annotations with run lengths; ValueError with the reason if they are not."""
    if len(annotations) > MAX_SEGMENTS:
        raise ValueError(f"it holds {len(annotations)} masks; expected at most {MAX_SEGMENTS}")
    rles = []
    for number, annotation in enumerate(annotations, start=1):
        try:
            rles.append(parse_rle(field(annotation, "segmentation", dict), height, width))
        except ValueError as error:
            raise ValueError(f"annotation {number} of {len(annotations)}: {error}") from error
    return Segments(
        height=height,
        width=width,
        rles=tuple(rles),
        predicted_iou=parse_qualities(annotations, "predicted_iou"),
        stability_score=parse_qualities(annotations, "stability_score"),
    )


def parse_rle(segmentation: dict[str, Any], height: int, width: int) -> bytes:
    """Canonical run lengths; ValueError with the reason if they are no mask of that size."""
    size = field(segmentation, "size", list)
    if size != [height, width]:
        raise ValueError(f"its size [h, w] is {size} but its image's is {[height, width]}")
    counts = field(segmentation, "counts", (str, list))
    if isinstance(counts, list) and not all(type(count) is int for count in counts):
        raise ValueError("its counts are not whole numbers")
    return rle.canonical(counts, height, width)


def parse_qualities(annotations: list[Any], name: str) -> Float[np.ndarray, " n"]:
    """The field `name` of each annotation, NaN where missing or null; ValueError if no number."""
    values = [annotation.get(name) for annotation in annotations]
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise ValueError(f"a {name!r} is not a number")
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def field(parent: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """`parent[name]`; ValueError with what is there instead if it is not of that kind."""
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"expected {_IN_WORDS[kind]} at {name!r}, found {json.dumps(value):.60}")
    return value


def _if_known(name: str, value: float) -> dict[str, float]:
    return {} if math.isnan(value) else {name: float(value)}
