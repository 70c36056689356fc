"""The frames of a scene as protocols see them."""

from collections.abc import Iterable

from splatseg.capture import Frame, Lens
from splatseg.scene import Scene


def frames_of(scene: Scene, is_test: bool) -> list[Frame]:
    """The frames held out from training, or the others; in the scene's order."""
    return [frame for frame in scene.frames if frame.is_test == is_test]


def photo_sizes(frames: Iterable[Frame]) -> dict[str, tuple[int, int]]:
    """(width, height) of each photo as shipped."""
    return {frame.name: (frame.lens.width, frame.lens.height) for frame in frames}


def lens_at(frame: Frame, shape: tuple[int, ...]) -> Lens:
    """The frame's lens for photos of the ground truth's size."""
    height, width = shape
    return frame.lens.resized(width, height)
