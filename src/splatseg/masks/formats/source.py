"""What lies in a place that is said to hold masks: its files, and which kind of JSON one is."""

import mmap
import re
from collections import Counter
from pathlib import Path
from typing import Literal

from splatseg.files import cannot_read

JsonKind = Literal["sa1b", "records", "coco", "coco-panoptic"]

_LISTED_KINDS = 4  # suffixes that one message spells out


def files_in(source: Path, *suffixes: str) -> list[tuple[str, Path]]:
    """Files with one of these suffixes at or under `source`, sorted, and their names.

    A name is the path under `source`, without the suffix. Hidden files are passed over.
    """
    if source.is_file():
        return [(source.stem, source)] if source.suffix.lower() in suffixes else []
    paths = (path for path in source.rglob("*") if path.suffix.lower() in suffixes)
    return [
        (path.relative_to(source).as_posix()[: -len(path.suffix)], path)
        for path in sorted(paths)
        if not path.name.startswith(".") and path.is_file()
    ]


def contents(source: Path) -> str:
    """In words, what a file or folder holds."""
    if source.is_file():
        return f"a {source.suffix or 'nameless'} file"
    counts = Counter(path.suffix.lower() for path in source.rglob("*") if path.is_file())
    kinds = [f"{count} {suffix or 'other'}" for suffix, count in counts.most_common(_LISTED_KINDS)]
    return ", ".join(kinds) + " files" if kinds else "nothing"


def json_kind(path: Path) -> JsonKind | None:
    """Which kind of mask JSON a file is, by the keys in it; None for another or an empty one.

    The file is not parsed: a data set's may have gigabytes.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return _kind(text)
    except OSError as error:
        raise cannot_read(path, error) from error
    except ValueError:  # an empty file cannot be mapped
        return None


def _kind(text: mmap.mmap) -> JsonKind | None:
    if re.match(rb"\s*\[\s*(\]\s*$|\{)", text):
        is_results = text.find(b'"image_id"') >= 0  # COCO's, of many images that it does not list
        return None if is_results else "records"
    if not re.match(rb"\s*\{", text):
        return None
    if re.search(rb'"images"\s*:', text):
        return "coco-panoptic" if text.find(b'"segments_info"') >= 0 else "coco"
    return "sa1b" if re.search(rb'"image"\s*:', text) else None
