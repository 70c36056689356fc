"""What a detector finds of a text prompt in one image.

Boxes are x0, y0, x1, y1 in pixels of the image, its top left corner (0, 0); scores are 0 to 1, each
detector's own: those of different detectors do not compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from splatseg.errors import SplatsegError

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Detection:
    """One thing that a prompt may mean."""

    box: Box
    score: float
    prompt: str
    mask: Bool[np.ndarray, "h w"] | None = field(default=None, compare=False, repr=False)
    """The detector's own, of the image's size, if it draws masks."""

    @property
    def has_area(self) -> bool:
        """Whether its box does: one that lies outside the image has none left."""
        x0, y0, x1, y1 = self.box
        return x0 < x1 and y0 < y1


@runtime_checkable
class Detector(Protocol):
    """A model that finds what words mean."""

    @property
    def name(self) -> str:
        """What records and messages call the model."""
        ...

    def detect(
        self, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """What each prompt finds in an RGB image, best first; nothing that the detector doubts.

        The answer to a prompt does not depend on the others.
        """
        ...


def plain(prompt: str) -> str:
    """A prompt as detectors are asked and files are searched: in lower case, single spaces."""
    words = prompt.lower().split()
    if not words:
        raise SplatsegError(
            f"the prompt {prompt!r} has no words",
            expected="some, such as 'red mug'",
        )
    return " ".join(words)


def best_first(scores: Float[np.ndarray, " n"], min_score: float) -> Int64[np.ndarray, " m"]:
    """Which scores are above the least, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > min_score]


def corners(centered: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """x0, y0, x1, y1 of boxes given by their center's x and y, width and height."""
    center, half = centered[:, :2], centered[:, 2:] / 2
    return np.concatenate([center - half, center + half], axis=1)


def clipped(boxes: Float[np.ndarray, "n 4"], width: int, height: int) -> list[Box]:
    """The part of each box inside an image; one that lies outside has no area left."""
    inside = boxes.astype(np.float64).clip(0, (width, height, width, height))
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in inside.tolist()]
