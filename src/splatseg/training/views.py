"""The training views of a capture as tensors: photos and label maps at working size."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.capture import Capture, Frame
from splatseg.masks import FlatteningOrder, MaskSet, Segments
from splatseg.training.randomness import generator


@dataclass
class TrainingViews:
    """What the losses compare with, frame by frame, in a random order without repetition."""

    capture: Capture
    masks: MaskSet | None
    flattening: FlatteningOrder
    seed: int
    _labels: dict[str, np.ndarray | None] = field(default_factory=dict)

    def frame_at(self, step: int) -> Frame:
        """The frame of training step `step`, counted from 0: every frame once an epoch."""
        frames = self.capture.train
        epoch, position = divmod(step, len(frames))
        order = torch.randperm(len(frames), generator=generator(self.seed, "frames", epoch))
        return frames[int(order[position])]

    def photo(self, frame: Frame) -> Float[Tensor, "h w 3"]:
        """RGB in [0, 1]; planar in memory, as the photometric kernel reads it."""
        pixels = torch.from_numpy(self.capture.image(frame).transpose(2, 0, 1).copy())
        return pixels.float().div_(255).permute(1, 2, 0)

    def labels(self, frame: Frame) -> Int[Tensor, "h w"] | None:
        """Flattened segment ids at working size, 0 = unlabelled; None without masks."""
        if self.masks is None:
            return None
        if frame.name not in self._labels:
            size = (frame.lens.width, frame.lens.height)
            segments = self.masks.segments(frame.name, size)
            self._labels[frame.name] = (
                None if segments is None else working_labels(segments, frame, self.flattening)
            )
        labels = self._labels[frame.name]
        return None if labels is None else torch.from_numpy(labels.astype(np.int32))


def working_labels(segments: Segments, frame: Frame, order: FlatteningOrder) -> np.ndarray:
    """A photo's masks flattened into one label map of the frame's working size (uint16)."""
    flat = segments.label_map(order)
    return frame.lens.warp_to_working(flat, frame.camera, nearest=True).astype(np.uint16)
