"""Which photo of a capture a tool's masks belong to, by the names that the tool writes.

Tools keep a photo's path, or its bare name, or its name up to the first dot, or put a prefix before
it. The closest kind of agreement wins; a name that fits two photos fits none.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from splatseg.errors import SplatsegError
from splatseg.masks.segments import Segments

MAX_LISTED = 5  # names that one message spells out

# Also the dot alone: a tool that cuts four characters off 0001.jpeg keeps it.
_SUFFIX = re.compile(r"\.([A-Za-z]\w{1,3})?$")
_UPLOAD_PREFIX = re.compile(r"^(\d+-)?[0-9a-f]{8}-")  # Label Studio's: a hash, once a project too

log = logging.getLogger(__name__)


class Photo(NamedTuple):
    """What the masks of a frame are matched to and measured by."""

    file_name: str
    """Under `images/`, folders and suffix kept, forward slashes: `cam0/0001.jpg`."""
    size: tuple[int, int]
    """Width and height as shipped."""


class Entry(NamedTuple):
    """The masks that a tool has for one picture, not read yet."""

    name: str
    """What the tool calls the picture."""
    place: str
    """What messages call the masks: their file, or more where a file holds many pictures."""
    read: Callable[[tuple[int, int]], Segments]
    """From the photo's size, which matters only to tools that do not say their masks' own."""


def match(source: Path, entries: Sequence[Entry], photos: Mapping[str, Photo]) -> dict[str, Entry]:
    """Entries by frame; those without a photo are named in the log, photos without one counted.

    Two entries of one photo are refused, and so are entries of which none has a photo.
    """
    matched: dict[str, Entry] = {}
    left = list(entries)
    for photo_keys, entry_keys in _AGREEMENTS:
        frames = _unique_keys(photos, photo_keys)
        found = [(_first_known(frames, entry_keys(_posix(entry.name))), entry) for entry in left]
        left = [entry for frame, entry in found if frame is None or frame in matched]
        matched |= _one_each([(f, entry) for f, entry in found if f and f not in matched])
    if not matched:
        raise SplatsegError(
            f"{source} has masks for none of the capture's {len(photos)} photos: its first "
            f"picture is {(entries[0].name if entries else 'none at all')}, a photo is "
            f"{next((photo.file_name for photo in photos.values()), 'none at all')}",
            remedy="rename either so that they agree",
        )
    if left:
        log.warning(
            "%s: the masks of %d pictures belong to no photo of the capture and are left out: %s",
            source,
            len(left),
            _listed([entry.name for entry in left]),
        )
    count_missing(source, len(photos) - len(matched), len(photos))
    return matched


def count_missing(source: Path, missing: int, photos: int) -> None:
    """Say in the log how many photos have no masks."""
    if missing:
        log.info("%s: %d of %d photos have no masks", source, missing, photos)


def _path_keys(path: str) -> list[str]:
    return [path, _SUFFIX.sub("", path)]


def _tail_keys(path: str) -> list[str]:
    """The path without its first folder, without its first two, …"""
    parts = path.split("/")
    return [key for n in range(1, len(parts)) for key in _path_keys("/".join(parts[n:]))]


def _name_keys(path: str) -> list[str]:
    return _path_keys(PurePosixPath(path).name)


def _first_part_keys(path: str) -> list[str]:
    return [PurePosixPath(path).name.split(".")[0]]


def _upload_keys(path: str) -> list[str]:
    """Without the prefix of an upload, and spelt as Django stores an uploaded file."""
    bare = _UPLOAD_PREFIX.sub("", PurePosixPath(path).name)
    return [re.sub(r"[^-\w]", "", _SUFFIX.sub("", bare).strip().replace(" ", "_"))]


_Keys = Callable[[str], list[str]]
_AGREEMENTS: tuple[tuple[_Keys, _Keys], ...] = (  # of a photo's path, of an entry's name
    (_path_keys, _path_keys),
    (_path_keys, _tail_keys),
    (_name_keys, _name_keys),
    (_first_part_keys, _first_part_keys),
    (_upload_keys, _upload_keys),
)


def _unique_keys(photos: Mapping[str, Photo], keys: _Keys) -> dict[str, str]:
    """Key to frame, for the keys of one frame only."""
    frames: dict[str, str | None] = {}
    for frame, photo in photos.items():
        for key in {*keys(photo.file_name), *keys(frame)}:
            frames[key] = None if key in frames else frame
    return {key: frame for key, frame in frames.items() if frame is not None}


def _first_known(frames: Mapping[str, str], keys: Sequence[str]) -> str | None:
    return next((frames[key] for key in keys if key in frames), None)


def _one_each(found: Sequence[tuple[str, Entry]]) -> dict[str, Entry]:
    matched: dict[str, Entry] = {}
    for frame, entry in found:
        twin = matched.setdefault(frame, entry)
        if twin is not entry:
            raise SplatsegError(
                f"{twin.place} and {entry.place} both fit the photo {frame}",
                remedy="remove one",
            )
    return matched


def _posix(name: str) -> str:
    """Forward slashes; tools on Windows write backslashes."""
    return name.replace("\\", "/").removeprefix("./")


def _listed(names: Sequence[str]) -> str:
    more = ["…"] if len(names) > MAX_LISTED else []
    return ", ".join([*names[:MAX_LISTED], *more])
