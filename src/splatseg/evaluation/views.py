"""The frames of a scene as protocols see them."""

from collections.abc import Iterable
from dataclasses import replace

from splatseg.capture import Frame


def photo_sizes(frames: Iterable[Frame]) -> dict[str, tuple[int, int]]:
    """(width, height) of each photo as shipped."""
    return {frame.name: (frame.lens.width, frame.lens.height) for frame in frames}


def at_size(frame: Frame, shape: tuple[int, ...]) -> Frame:
    """The frame as if its photo had the shape (height, width) of the ground truth."""
    height, width = shape
    return replace(frame, lens=frame.lens.resized(width, height))
