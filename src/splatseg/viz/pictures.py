"""A selection on a photo: what lies outside dimmed, clicks ringed. Images are uint8 RGB, H W 3."""

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from splatseg.images import RGB

RING_FRACTION = 0.015  # of a picture's width: the radius of the ring around a click
HIGHLIGHT = (255, 176, 0)
DIMMED = 0.35  # brightness of what is not selected


def highlight(image: RGB, mask: Bool[np.ndarray, "h w"]) -> RGB:
    """The image with what lies outside `mask` dimmed and the mask's outline drawn."""
    dimmed = np.where(mask[..., None], image, (image * DIMMED).astype(np.uint8))
    padded = np.pad(mask, 2, mode="edge")
    height, width = mask.shape
    shifts = [padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width] for dy, dx in _AROUND]
    outline = ~mask & np.logical_or.reduce(shifts)
    dimmed[outline] = HIGHLIGHT
    return dimmed


_AROUND = [
    (dy, dx) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2) if dy * dy + dx * dx <= 4
]


def mark(image: RGB, x: float, y: float) -> RGB:
    """The image with a white ring, edged in black, around the point (x, y)."""
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    inner = max(4, round(RING_FRACTION * image.shape[1]))
    for radius, color, width in ((inner + 4, (0, 0, 0), 6), (inner + 3, (255, 255, 255), 3)):
        box = [x - radius, y - radius, x + radius, y + radius]
        draw.ellipse(box, outline=color, width=width)
    return np.asarray(canvas)
