"""The training views of a capture as tensors: photos and label maps at working size.

Both are read when they are asked for, and kept up to a limit: the capture keeps the photos, the
views keep the label maps.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int, UInt
from torch import Tensor

from splatseg.capture import Capture, Frame
from splatseg.capture.image_cache import ImageCache
from splatseg.lifting.views import SegmentedView
from splatseg.masks import FlatteningOrder, MaskSet, Segments
from splatseg.masks.config import Level
from splatseg.masks.regions import cut_into_regions
from splatseg.training.config import ContrastiveConfig
from splatseg.training.randomness import generator

LABEL_CACHE_BYTES = 2**28  # every map of 500 views at 800x600; making one takes 30 to 200 ms


@dataclass
class TrainingViews:
    """What the losses compare with, frame by frame, in a random order without repetition."""

    capture: Capture
    masks: MaskSet | None
    settings: ContrastiveConfig
    seed: int
    _labels: ImageCache = field(default_factory=lambda: ImageCache(LABEL_CACHE_BYTES))

    def __post_init__(self) -> None:
        if self.masks is not None:
            self.masks.check_sizes({frame.name: _photo_size(frame) for frame in self.capture.train})

    def frame_at(self, step: int) -> Frame:
        """The frame of training step `step`, counted from 0: every frame once an epoch."""
        frames = self.capture.train
        epoch, position = divmod(step, len(frames))
        order = torch.randperm(len(frames), generator=generator(self.seed, "frames", epoch))
        return frames[int(order[position])]

    def photo(self, frame: Frame) -> Float[Tensor, "h w 3"]:
        """RGB in [0, 1]; planar in memory, as the photometric kernel reads it."""
        # numpy's memory, not torch's, whose alignment to 64 bytes would keep the image out of the
        # hole that the last one left in glibc's heap: the heap grew by one for each view seen.
        pixels = self.capture.image(frame).astype(np.float32)
        pixels /= 255
        return torch.from_numpy(pixels)

    def has_masks(self, frame: Frame) -> bool:
        """Whether there is a file of its masks."""
        return self.masks is not None and frame.name in self.masks.files

    def labels(self, frame: Frame) -> Int[Tensor, "h w"] | None:
        """Flattened segment ids at working size, 0 = unlabeled; None without masks."""
        masks = self.masks
        if masks is None or frame.name not in masks.files:
            return None
        labels = self._labels.get(frame.name, lambda: self._make_labels(masks, frame))
        return torch.from_numpy(labels.astype(np.int32))

    def segmented(self, frame: Frame, max_masks: int) -> SegmentedView:
        """The best `max_masks` overlapping masks, at working size, of a frame that has masks."""
        assert self.masks is not None
        regions = cut_into_regions(self._segments(self.masks, frame).best(max_masks))
        small = regions.map.astype(np.min_scalar_type(len(regions.membership)))
        warped = frame.lens.warp_to_undistorted(small, frame.camera, nearest=True)
        return SegmentedView(
            frame, torch.from_numpy(warped.astype(np.int32)), torch.from_numpy(regions.membership)
        )

    def _make_labels(self, masks: MaskSet, frame: Frame) -> UInt[np.ndarray, "h w"]:
        settings = self.settings
        segments = self._segments(masks, frame)
        return undistorted_labels(segments, frame, settings.flattening, settings.level)

    def _segments(self, masks: MaskSet, frame: Frame) -> Segments:
        segments = masks.segments(frame.name, _photo_size(frame))
        assert segments is not None  # the frame has a file
        return segments


def undistorted_labels(
    segments: Segments, frame: Frame, order: FlatteningOrder, level: Level
) -> UInt[np.ndarray, "h w"]:
    """A photo's masks flattened into one label map of the frame's working size.

    In 8 bits where that holds every label, else in 16.
    """
    flat = segments.label_map(order, level).astype(np.min_scalar_type(len(segments)))
    return frame.lens.warp_to_undistorted(flat, frame.camera, nearest=True)


def _photo_size(frame: Frame) -> tuple[int, int]:
    return frame.lens.width, frame.lens.height
