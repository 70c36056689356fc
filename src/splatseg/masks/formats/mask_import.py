"""The masks of another tool, photo by photo: read one at a time, checked against their photo."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from splatseg.errors import SplatsegError
from splatseg.masks.formats.matching import Entry, Photo
from splatseg.masks.mask_set import check_size
from splatseg.masks.segments import MAX_SEGMENTS, Segments

log = logging.getLogger(__name__)


class Format(NamedTuple):
    """How one tool leaves its masks on the disk."""

    description: str
    """Which files, and which tools write them."""
    fits: Callable[[Path], bool]
    """Whether a file or folder looks like it, from names and first bytes."""
    open: Callable[[Path, Mapping[str, Photo]], Mapping[str, Entry]]
    """Entries by frame."""


@dataclass(frozen=True)
class MaskImport:
    """Frames and their segments, in order of name; its length is how many frames have any.

    Only the frame at hand is in memory, beside what a format keeps for all of them in one JSON.
    """

    source: Path
    format: str
    entries: Mapping[str, Entry]
    photos: Mapping[str, Photo]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[str, Segments]]:
        scaled = []
        for frame, entry in sorted(self.entries.items()):
            photo_size = self.photos[frame].size
            segments = entry.read(photo_size)
            size = (segments.width, segments.height)
            check_size(Path(entry.place), size, photo_size)
            if size != photo_size:
                scaled.append((frame, size, photo_size))
            yield frame, segments
        if scaled:
            frame, (width, height), (photo_width, photo_height) = scaled[0]
            log.warning(
                "%s: %d of %d photos have masks of another size, which is kept: those of %s are "
                "%dx%d, %.3g times its %dx%d",
                self.source, len(scaled), len(self), frame,
                width, height, width / photo_width, photo_width, photo_height,
            )  # fmt: skip


def check_count(place: str, count: int) -> None:
    """Refuse more masks of one photo than a view can hold."""
    if count > MAX_SEGMENTS:
        raise SplatsegError(
            f"{place} holds {count} masks",
            expected=(
                f"at most {MAX_SEGMENTS} a photo: drop the smallest ones or those of low quality"
            ),
        )
