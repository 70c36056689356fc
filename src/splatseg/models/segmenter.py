"""What a promptable segmenter of the SAM family does: encode a photo once, answer prompts on it.

Coordinates are pixels of the photo, (0.5, 0.5) the first pixel's center; boxes are x0, y0, x1, y1.
A logit map covers the photo, top left aligned, at the model's own low resolution; a photo's point
(x, y) lies at (x * scale_x, y * scale_y) in it. Positive logits are inside the mask.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, UInt8

LEVELS = 3  # masks that a SAM gives for an ambiguous prompt: subpart, part and whole


@dataclass(frozen=True, eq=False)
class EncodedPhoto:
    """A photo as the model keeps it between prompts."""

    height: int
    width: int
    scale_x: float
    """Columns of a logit map per column of the photo."""
    scale_y: float
    content: Any
    """The model's own embeddings."""


class Prediction(NamedTuple):
    """Answers to n prompts, k masks each; some models have no more than one for any prompt."""

    logits: Float32[np.ndarray, "n k rows columns"]
    """Rows and columns are those that cover the photo, rounded up."""
    predicted_iou: Float32[np.ndarray, "n k"]
    """The model's own estimate of each mask's quality, about 0 to 1."""


@runtime_checkable
class Segmenter(Protocol):
    """A model that draws masks from prompts."""

    @property
    def name(self) -> str:
        """What records and messages call the model."""
        ...

    def encode(self, photo: UInt8[np.ndarray, "h w 3"]) -> EncodedPhoto:
        """Run the encoder: seconds on a CPU, so once for each photo or crop."""
        ...

    def predict(
        self,
        photo: EncodedPhoto,
        points: Float32[np.ndarray, "n p 2"],
        labels: Int[np.ndarray, "n p"],
        boxes: Float32[np.ndarray, "n 4"] | None = None,
        *,
        levels: bool = True,
    ) -> Prediction:
        """Masks for n prompts: points (label 1 inside, 0 outside the object), or boxes, or both.

        n is at least 1; p may be 0 where there are boxes. With `levels` three masks a prompt,
        subpart, part and whole in the model's own order, or as many as the model has; without, the
        one that the model deems right, which is better where a prompt is not ambiguous (several
        points, or a box).
        """
        ...
