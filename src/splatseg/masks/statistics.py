"""What a set of masks looks like in figures, and which photos' masks look broken.

Fractions are in [0, 1]; a mask's share is its fraction of the photo's pixels. A photo without
masks has only zeros, and so has a set without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, median_low
from typing import Any, Literal

import numpy as np

from splatseg.errors import SplatsegError
from splatseg.masks.mask_set import MaskSet
from splatseg.masks.segments import Segments
from splatseg.progress import SILENT, Progress

# A photo with fewer masks than this fraction of the set's median has few. Views of one scene
# differ: down to half of the median in the captures that this was tried on, three quarters with
# real masks.
FEW_MASKS = 0.4
# The same for covered pixels. A photo may do without its largest masks, wall and table: 0.44 of the
# median with real masks, 0.21 with simulated ones, objects covered all the same.
LOW_COVERAGE = 0.2
# A mask with more of the photo than this leaves no room for anything beside it.
ALL_OF_PHOTO = 0.95
MIN_MASKS = 2  # a single mask shares its photo with nothing that it could be told apart from

Problem = Literal["no file", "refused", "no masks", "only all", "one mask", "few masks", "coverage"]


@dataclass(frozen=True)
class PhotoStatistics:
    """The masks of one photo in figures."""

    frame: str
    masks: int
    coverage: float
    """Fraction of the pixels in any mask."""
    mean_depth: float
    """Masks that contain a mask, on average."""
    max_depth: int
    median_share: float
    """Half of the masks have less of the photo than this."""
    smallest_share: float
    wholes: float
    """Fraction of the masks that are wholes; with parts and subparts 1."""
    parts: float
    subparts: float


@dataclass(frozen=True)
class Flag:
    """A photo whose masks look broken, or the whole set where `frame` is None."""

    frame: str | None
    problem: Problem
    sentence: str


@dataclass(frozen=True)
class SetStatistics:
    """The masks of every photo of a set, and what looks broken."""

    photos: tuple[PhotoStatistics, ...]
    """Those whose file could be read, in the order asked for."""
    flags: tuple[Flag, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict: figures over all photos, then `photos` and `flags` one by one.

        `masks` is the median photo's number of masks, `coverage` the mean.
        """
        return {
            **self._overall(),
            "photos": [asdict(photo) for photo in self.photos],
            "flags": [asdict(flag) for flag in self.flags],
        }

    def rows(self) -> list[Mapping[str, Any]]:
        """A row for each photo and one for all of them, as a table for people."""
        overall = {"frame": f"all {len(self.photos)}", **self._overall()}
        figures = [*(asdict(photo) for photo in self.photos), overall]
        return [{shown: row[name] for name, shown in _COLUMNS.items()} for row in figures]

    def _overall(self) -> dict[str, Any]:
        """By photo: masks and their share (median), coverage (mean); depth and levels by mask."""
        photos, total = self.photos, sum(photo.masks for photo in self.photos)

        def over_masks(name: str) -> float:
            return sum(getattr(photo, name) * photo.masks for photo in photos) / max(1, total)

        return {
            "masks": median_low([photo.masks for photo in photos] or [0]),
            "total_masks": total,
            "coverage": fmean([photo.coverage for photo in photos] or [0.0]),
            "mean_depth": over_masks("mean_depth"),
            "max_depth": max((photo.max_depth for photo in photos), default=0),
            "median_share": median([photo.median_share for photo in photos] or [0.0]),
            "wholes": over_masks("wholes"),
            "parts": over_masks("parts"),
            "subparts": over_masks("subparts"),
        }


_COLUMNS = {
    "frame": "frame",
    "masks": "masks",
    "coverage": "coverage",
    "mean_depth": "depth",
    "max_depth": "deepest",
    "median_share": "median mask",
    "wholes": "wholes",
    "parts": "parts",
    "subparts": "subparts",
}


def mask_statistics(
    masks: MaskSet,
    photo_sizes: Mapping[str, tuple[int, int]],
    progress: Progress = SILENT,
) -> SetStatistics:
    """Read the masks of the photos in `photo_sizes`, one at a time, and compute their figures.

    A file that cannot be read, or is of another shape than its photo, is a flag and stops nothing.
    Sizes are (width, height); name only photos that are to have masks.
    """
    photos, flags = [], []
    for done, (frame, size) in enumerate(photo_sizes.items(), start=1):
        try:
            segments = masks.segments(frame, size)
            if segments is None:
                sentence = f"{frame} has no mask file in {masks.root}"
                flags.append(Flag(frame, "no file", sentence))
            else:
                photos.append(photo_statistics(frame, segments))
        except SplatsegError as error:
            flags.append(Flag(frame, "refused", f"{frame}: {error}"))
        progress.update("reading masks", done, len(photo_sizes))
    flags += flag_photos(photos)
    place = {frame: index for index, frame in enumerate([None, *photo_sizes])}
    return SetStatistics(tuple(photos), tuple(sorted(flags, key=lambda flag: place[flag.frame])))


def photo_statistics(frame: str, segments: Segments) -> PhotoStatistics:
    """The figures of one photo's masks."""
    if len(segments) == 0:
        return PhotoStatistics(frame, 0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    nesting = segments.nesting()
    shares = segments.areas / (segments.height * segments.width)
    return PhotoStatistics(
        frame=frame,
        masks=len(segments),
        coverage=segments.coverage,
        mean_depth=float(nesting.depth.mean()),
        max_depth=int(nesting.depth.max()),
        median_share=float(np.median(shares)),
        smallest_share=float(shares.min()),
        wholes=float(nesting.at("whole").mean()),
        parts=float(nesting.at("part").mean()),
        subparts=float(nesting.at("subpart").mean()),
    )


def flag_photos(photos: Sequence[PhotoStatistics]) -> list[Flag]:
    """What looks broken beside the other photos, at most one flag each, its worst.

    Where single masks are the rule, as with masks of one object, the set is flagged and not every
    photo of it.
    """
    usual_count = float(median([photo.masks for photo in photos if photo.masks] or [0]))
    usual_coverage = median([photo.coverage for photo in photos if photo.masks] or [0.0])
    found = (_flag(photo, usual_count, usual_coverage) for photo in photos)
    flags = [flag for flag in found if flag is not None]
    if 0 < usual_count < MIN_MASKS:
        flags = [flag for flag in flags if flag.problem != "one mask"]
        flags.append(Flag(None, "one mask", _SINGLE_MASKS))
    return flags


_SINGLE_MASKS = (
    "most photos have a single mask: training learns to tell objects apart where a photo has "
    f"{MIN_MASKS} or more"
)


def _flag(photo: PhotoStatistics, usual_count: float, usual_coverage: float) -> Flag | None:
    """The first of these that is true is the worst."""
    frame, count, coverage = photo.frame, photo.masks, photo.coverage
    if count == 0:
        return Flag(frame, "no masks", f"{frame} has no masks")
    if photo.smallest_share > ALL_OF_PHOTO:
        what = "its only mask covers" if count == 1 else f"each of its {count} masks covers"
        share = f"{photo.smallest_share:.0%} of the photo"
        return Flag(frame, "only all", f"{frame} has nothing apart: {what} {share}")
    if count < MIN_MASKS:
        return Flag(frame, "one mask", f"{frame} has a single mask, so nothing to tell it from")
    if count < FEW_MASKS * usual_count:
        others = f"half of the photos have {usual_count:g} or more"
        return Flag(frame, "few masks", f"{frame} has only {count} masks; {others}")
    if coverage < LOW_COVERAGE * usual_coverage:
        others = f"half of the photos are covered by {usual_coverage:.0%} or more"
        return Flag(frame, "coverage", f"{frame} is covered by {coverage:.0%} only; {others}")
    return None
