"""What SAM's automatic mask generator leaves (`scripts/amg.py`), and SA-1B's JSON.

A folder a photo, with a PNG a mask, 0.png, 1.png, …, inside above 0, and `metadata.csv`, a row a
mask: `id`, the PNG's name, `predicted_iou`, `stability_score` and more. With --convert-to-rle a
JSON a photo: a list of such records, with run lengths in `segmentation`. SA-1B's JSON has the
records in `annotations`.
"""

import csv
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from splatseg.errors import SplatsegError
from splatseg.files import cannot_read, read_json
from splatseg.masks import rle
from splatseg.masks.files import EXPECTED_JSON, field, parse_annotations, parse_sa1b, read_label_map
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, match
from splatseg.masks.formats.source import files_in, json_kind
from splatseg.masks.segments import Segments

METADATA = "metadata.csv"
QUALITIES = ("predicted_iou", "stability_score")


def _fits(source: Path) -> bool:
    return bool(_tables(source)) or any(
        json_kind(path) in ("sa1b", "records") for _, path in files_in(source, ".json")
    )


def _open(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    tables = [
        Entry(_folder_name(source, path), str(path), partial(_read_folder, path))
        for path in _tables(source)
    ]
    texts = [
        Entry(name, str(path), partial(_read_json, path))
        for name, path in files_in(source, ".json")
    ]
    return match(source, tables + texts, photos)


def _tables(source: Path) -> list[Path]:
    return [path for _, path in files_in(source, ".csv") if path.name == METADATA]


def _folder_name(source: Path, table: Path) -> str:
    """The photo's: a folder under `source`, or `source` itself if it is of one photo."""
    return table.parent.name if table.parent == source else str(table.parent.relative_to(source))


def _read_json(path: Path, photo_size: tuple[int, int]) -> Segments:
    data = read_json(path, EXPECTED_JSON)
    try:
        return _parse_records(data, photo_size) if isinstance(data, list) else parse_sa1b(data)
    except (ValueError, OverflowError) as error:
        raise SplatsegError(f"{path} does not hold SAM's masks of one photo: {error}") from error


def _parse_records(records: list[Any], photo_size: tuple[int, int]) -> Segments:
    """A list that is empty has masks of the photo's size."""
    if not records:
        width, height = photo_size
        return parse_annotations([], height, width)
    size = field(field(records[0], "segmentation", dict), "size", list)
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(f"its first mask has the size [h, w] {size}")
    return parse_annotations(records, *size)


def _read_folder(table: Path, photo_size: tuple[int, int]) -> Segments:
    rows = _rows(table)
    check_count(str(table), len(rows))
    width, height = photo_size
    rles = []
    for row in rows:
        path = table.with_name(f"{row['id']}.png")
        inside = read_label_map(path) > 0
        if rles and inside.shape != (height, width):
            raise SplatsegError(
                f"{path} is {inside.shape[1]}x{inside.shape[0]} but the masks before it are "
                f"{width}x{height}",
                remedy="make the masks of this photo again",
            )
        height, width = inside.shape
        rles.append(rle.encode(inside))
    predicted_iou, stability_score = (
        np.array([float(row[name]) for row in rows], dtype=np.float64) for name in QUALITIES
    )
    return Segments(height, width, tuple(rles), predicted_iou, stability_score)


def _rows(table: Path) -> list[dict[str, str]]:
    """The rows of metadata.csv, with their number and qualities checked."""
    try:
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise cannot_read(table, error) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise SplatsegError(
            f"{table} is not a table of masks ({error})",
            remedy="make it again",
        ) from error
    for number, row in enumerate(rows, start=1):
        if not str(row.get("id")).isdecimal() or not all(map(_is_number, map(row.get, QUALITIES))):
            raise SplatsegError(
                f"{table} has no id, predicted_iou and stability_score in row {number} "
                f"of {len(rows)}",
                expected=(
                    "SAM's table of masks, perhaps it is half written: make the masks of this "
                    "photo again"
                ),
            )
    return rows


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


SAM = Format(
    "SAM's own output (a folder of PNGs and metadata.csv, or a JSON, a photo)", _fits, _open
)
