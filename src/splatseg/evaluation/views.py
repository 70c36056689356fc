"""The frames of a scene as protocols see them."""

from collections.abc import Iterable
from dataclasses import replace

from splatseg.capture import Frame, Lens
from splatseg.evaluation.truth import Truth
from splatseg.scene import Scene


def photo_sizes(frames: Iterable[Frame]) -> dict[str, tuple[int, int]]:
    """(width, height) of each photo as shipped."""
    return {frame.name: (frame.lens.width, frame.lens.height) for frame in frames}


def lens_at(frame: Frame, shape: tuple[int, ...]) -> Lens:
    """The frame's lens for photos of the ground truth's size."""
    height, width = shape
    return frame.lens.resized(width, height)


def at_truth_size(scene: Scene, truth: Truth) -> Scene:
    """The scene as if its photos had the size of their true maps, so that masks have it too."""
    frames = [
        replace(frame, lens=lens_at(frame, truth.maps[frame.name].shape))
        if frame.name in truth.maps
        else frame
        for frame in scene.frames
    ]
    return replace(scene, frames=tuple(frames))
