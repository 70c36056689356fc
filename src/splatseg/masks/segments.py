"""The 2D masks of one view: any number, overlapping, at several levels (wholes, parts, subparts).

Masks stay run-length encoded in memory: a photo with a hundred masks costs kilobytes, not
megabytes. A label map is their flattening to one label a pixel: 0 is unlabeled, label k + 1 is
segment k. Boxes are x, y, width, height in pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64, Integer

from splatseg.errors import SplatsegError
from splatseg.masks import levels, rle
from splatseg.masks.config import FlatteningOrder, Level
from splatseg.masks.levels import Nesting

MAX_SEGMENTS = 65535  # of one view, so that every flattening fits a 16-bit PNG
MAX_PAIRED = 4096  # masks of one view whose pairs are looked at: a matrix of them takes 128 MiB


@dataclass(frozen=True, eq=False)
class Segments:
    """N masks of one view, with the quality that their maker gave them."""

    height: int
    width: int
    rles: tuple[bytes, ...]
    """Compressed COCO run lengths in canonical form, see `splatseg.masks.rle`."""
    predicted_iou: Float[np.ndarray, " n"]
    """NaN where unknown."""
    stability_score: Float[np.ndarray, " n"]
    """NaN where unknown."""

    def __post_init__(self) -> None:
        if len(self.rles) > MAX_SEGMENTS:
            raise SplatsegError(
                f"a view has {len(self.rles)} masks",
                expected=f"at most {MAX_SEGMENTS}: drop the smallest ones or those of low quality",
            )

    @staticmethod
    def from_masks(
        masks: Bool[np.ndarray, "n h w"],
        predicted_iou: Float[np.ndarray, " n"] | None = None,
        stability_score: Float[np.ndarray, " n"] | None = None,
    ) -> "Segments":
        """One segment per mask, in order; empty masks are kept."""
        unknown = np.full(len(masks), np.nan)
        return Segments(
            height=masks.shape[1],
            width=masks.shape[2],
            rles=tuple(rle.encode(mask) for mask in masks),
            predicted_iou=unknown if predicted_iou is None else predicted_iou,
            stability_score=unknown if stability_score is None else stability_score,
        )

    @staticmethod
    def from_label_map(label_map: Integer[np.ndarray, "h w"]) -> "Segments":
        """One segment per label present, in increasing order; 0 and below is unlabeled."""
        labels = np.unique(label_map[label_map > 0])
        unknown = np.full(len(labels), np.nan)
        return Segments(
            height=label_map.shape[0],
            width=label_map.shape[1],
            rles=tuple(rle.encode(label_map == label) for label in labels),
            predicted_iou=unknown,
            stability_score=unknown,
        )

    def __len__(self) -> int:
        return len(self.rles)

    @property
    def areas(self) -> Int64[np.ndarray, " n"]:
        """Pixels inside each segment."""
        return rle.areas(self.rles)

    @property
    def boxes(self) -> Int64[np.ndarray, "n 4"]:
        """The smallest box around each segment, all 0 for an empty one."""
        return rle.boxes(self.rles, self.height, self.width)

    def mask(self, index: int) -> Bool[np.ndarray, "h w"]:
        """Segment `index` as a mask."""
        return rle.decode(self.rles[index], self.height, self.width)

    def masks(self) -> Bool[np.ndarray, "n h w"]:
        """All segments, decoded: N x H x W bytes."""
        stack = np.zeros((len(self), self.height, self.width), dtype=bool)
        for index in range(len(self)):
            stack[index] = self.mask(index)
        return stack

    def intersections(self) -> Int64[np.ndarray, "n n"]:
        """Pixels that each two segments share; the diagonal holds the areas."""
        if len(self) > MAX_PAIRED:
            raise SplatsegError(
                f"a view has {len(self)} masks",
                expected=(
                    f"at most {MAX_PAIRED} to compare each with each: drop the smallest ones or "
                    "those of low quality"
                ),
            )
        return rle.intersections(self.rles, self.height, self.width)

    def overlap_share(self) -> Float[np.ndarray, "n n"]:
        """[a, b]: the share of b's pixels that lie in a; 0 for an empty b."""
        return levels.overlap_share(self.intersections())

    def nesting(self) -> Nesting:
        """Which segment is part of which, and their levels."""
        return levels.nest(self.intersections(), self.height * self.width)

    @property
    def coverage(self) -> float:
        """The share of the view's pixels that lie in any segment."""
        covered = rle.union_area(self.rles, self.height, self.width)
        return covered / max(1, self.height * self.width)  # a view without pixels has no share

    def label_map(
        self, order: FlatteningOrder = "smallest_on_top", level: Level = "subpart"
    ) -> Int32[np.ndarray, "h w"]:
        """Flatten: where segments overlap, `order` says which one shows.

        Among equal areas the later segment is on top. A segment may vanish under the others.
        Segments of a finer level than `level` do not take part: with "part" a whole shows where it
        has no parts. By default all do.
        """
        sign = -1 if order == "smallest_on_top" else 1
        label_map = np.zeros((self.height, self.width), dtype=np.int32)
        boxes = self.boxes
        by_size = np.argsort(sign * self.areas, kind="stable")
        if level != "subpart":
            by_size = by_size[self.nesting().down_to(level)[by_size]]
        for index in by_size.tolist():
            x, y, width, height = boxes[index]
            window = np.s_[y : y + height, x : x + width]
            label_map[window][self.mask(index)[window]] = index + 1
        return label_map

    def best(self, count: int) -> "Segments":
        """The `count` segments of highest quality, in their order; unknown quality counts as 1."""
        quality = np.nan_to_num(self.predicted_iou, nan=1) * np.nan_to_num(
            self.stability_score, nan=1
        )
        return self._only(np.sort(np.argsort(-quality, kind="stable")[:count]))

    def _only(self, kept: Int64[np.ndarray, " k"]) -> "Segments":
        return Segments(
            height=self.height,
            width=self.width,
            rles=tuple(self.rles[index] for index in kept.tolist()),
            predicted_iou=self.predicted_iou[kept],
            stability_score=self.stability_score[kept],
        )

    def resized(self, height: int, width: int) -> "Segments":
        """At another size, each pixel taking the value of the nearest pixel center."""
        rows, columns = _nearest(self.height, height), _nearest(self.width, width)
        return Segments(
            height=height,
            width=width,
            rles=tuple(rle.encode(self.mask(i)[rows][:, columns]) for i in range(len(self))),
            predicted_iou=self.predicted_iou,
            stability_score=self.stability_score,
        )


def _nearest(size: int, new_size: int) -> Int64[np.ndarray, " m"]:
    """The old pixel that holds each new pixel's center; integers, so that no center is rounded."""
    return (2 * np.arange(new_size) + 1) * size // (2 * new_size)
