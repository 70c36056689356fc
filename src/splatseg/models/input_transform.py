"""The square that a model of the SAM family looks at, and how a photo is laid on it.

SAM 1 and its like bring the photo's longest side to the square's and leave what remains empty, on
the right and at the bottom. SAM 2 and 3 squash the photo into the whole square.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Shaped, UInt8
from PIL import Image

from splatseg.models.segmenter import EncodedPhoto

# The models take coordinates for indices of pixels, and add half a pixel to come to their centers.
PIXEL_CENTER = 0.5
NO_BOX, FIRST_CORNER, SECOND_CORNER = -1, 2, 3  # labels, beside 0 for outside and 1 for inside
LOGITS_PER_CELL = 4  # each way, of the model's embedding of a photo
# Of ImageNet's photos, 0 to 255.
IMAGENET_MEAN = np.array((123.675, 116.28, 103.53), dtype=np.float32)
IMAGENET_DEVIATION = np.array((58.395, 57.12, 57.375), dtype=np.float32)


@dataclass(frozen=True)
class InputTransform:
    """A square of `side` pixels."""

    side: int
    is_squashed: bool
    """Whether a photo fills the square rather than keep its shape."""

    def covered(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the square that a photo of that size takes."""
        if self.is_squashed:
            return self.side, self.side
        longest = max(height, width)
        # To the nearest whole number, halves up; the thinnest photo still has a row.
        rows, columns = ((2 * s * self.side + longest) // (2 * longest) for s in (height, width))
        return max(1, rows), max(1, columns)

    def resize(self, photo: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
        """The photo at the size that it takes in the square."""
        rows, columns = self.covered(*photo.shape[:2])
        image = Image.fromarray(photo).resize((columns, rows), Image.Resampling.BILINEAR)
        return np.asarray(image)

    def pad(self, image: Shaped[np.ndarray, "rows columns 3"]) -> Shaped[np.ndarray, "side side 3"]:
        """An image of that size on the square, with zeros where it is empty."""
        rows, columns = image.shape[:2]
        return np.pad(image, ((0, self.side - rows), (0, self.side - columns), (0, 0)))

    def encoded(self, height: int, width: int, logit_side: int, content: Any) -> EncodedPhoto:
        """A photo of that size, whose logit maps cover the square with `logit_side` rows."""
        rows, columns = self.covered(height, width)
        scale = logit_side / self.side
        return EncodedPhoto(height, width, columns / width * scale, rows / height * scale, content)

    def logits_covered(self, height: int, width: int, logit_side: int) -> tuple[int, int]:
        """Rows and columns of such a map that lie on the photo, at least in part."""
        rows, columns = self.covered(height, width)
        return -(-rows * logit_side // self.side), -(-columns * logit_side // self.side)


def prompt_tokens(
    photo: EncodedPhoto,
    points: Float32[np.ndarray, "n p 2"],
    labels: Int[np.ndarray, "n p"],
    boxes: Float32[np.ndarray, "n 4"] | None,
    pixels_per_logit: float,
) -> tuple[Float32[np.ndarray, "n t 2"], Int[np.ndarray, "n t"]]:
    """Prompts as SAM 1 takes them: a box is two points more, and none is a point of its own."""
    coords = prompt_coords(photo, points, pixels_per_logit)
    if boxes is None:
        coords = np.pad(coords, ((0, 0), (0, 1), (0, 0)))
        return coords, np.pad(labels, ((0, 0), (0, 1)), constant_values=NO_BOX)
    corners = prompt_coords(photo, boxes.reshape(-1, 2, 2), pixels_per_logit)
    labels = np.pad(labels, ((0, 0), (0, 2)))
    labels[:, -2:] = FIRST_CORNER, SECOND_CORNER
    return np.concatenate([coords, corners], axis=1), labels


def prompt_coords(
    photo: EncodedPhoto, points: Float32[np.ndarray, "n p 2"], pixels_per_logit: float
) -> Float32[np.ndarray, "n p 2"]:
    """A photo's points in the pixels of the model, of which so many make a logit."""
    scale = np.array((photo.scale_x, photo.scale_y)) * pixels_per_logit
    return (points * scale - PIXEL_CENTER).astype(np.float32)
