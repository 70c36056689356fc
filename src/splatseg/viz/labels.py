"""Label maps as colors, with their ids written on them. Images are uint8 RGB, H W 3."""

from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from splatseg.images import RGB

BACKGROUND = (24, 24, 28)
NUMBER_FRACTION = 0.055  # of a picture's width: the height of a number's letters
NUMBER_ROOM = 0.4  # of a number's height: how far its place lies inside the label, at least
GOLDEN_RATIO = 0.61803398875  # hues this far apart never repeat, and neighbors differ


def label_palette(count: int) -> UInt8[np.ndarray, "n 3"]:
    """Distinct colors of the ids 0..count; id 0 is the background's."""
    hues = (np.arange(1, count + 1) * GOLDEN_RATIO) % 1.0
    ramps = np.abs((hues[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    brightness = np.where(np.arange(1, count + 1) % 2 == 0, 0.75, 1.0)[:, None]
    colors = (0.15 + 0.85 * ramps.clip(0, 1)) * brightness
    return np.vstack([BACKGROUND, (colors * 255).round()]).astype(np.uint8)


def paint_labels(labels: Integer[np.ndarray, "h w"], count: int) -> RGB:
    """A label map in the colors of `label_palette(count)`."""
    return label_palette(count)[labels]


def number_labels(image: RGB, labels: Integer[np.ndarray, "h w"]) -> RGB:
    """The image with each label's id written where the label is widest, if it has the room."""
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    size = max(12, round(NUMBER_FRACTION * image.shape[1]))
    font = ImageFont.load_default(size=size)
    for label in np.unique(labels[labels > 0]).tolist():
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(labels == label, 1)))[1:-1, 1:-1]
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        if depth[row, column] >= NUMBER_ROOM * size:
            style: dict[str, Any] = {"anchor": "mm", "stroke_width": 2, "stroke_fill": (0, 0, 0)}
            draw.text((int(column), int(row)), str(label), fill="white", font=font, **style)
    return np.asarray(canvas)
