"""A picture of what a prompt was taken for, to see which step went wrong."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFont

from splatseg.images import RGB
from splatseg.masks import Segments
from splatseg.models.detector import Detection
from splatseg.viz.labels import BACKGROUND
from splatseg.viz.pictures import HIGHLIGHT, mark
from splatseg.viz.segments import paint_segments

LETTER_FRACTION = 0.025  # of the picture's width: the height of a label's letters
LINE_FRACTION = 1 / 300  # of the picture's width: how thick the best box's lines are
OTHERS = (190, 190, 190)  # the color of what is not the best


def debug_picture(
    image: RGB,
    detections: Sequence[Detection],
    mask: Bool[np.ndarray, "h w"] | None,
    query_points: Float[np.ndarray, "n 2"] | None = None,
) -> RGB:
    """The mask tinted, a ring around each point asked for, each box with its prompt and score.

    Detections come best first, and the first one's box is the thick one.
    """
    if mask is not None:
        image = paint_segments(image, Segments.from_masks(mask[None]))
    for x, y in () if query_points is None else query_points.tolist():
        image = mark(image, x, y)
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    thick = max(2, round(LINE_FRACTION * image.shape[1]))
    for index in reversed(range(len(detections))):  # the best on top
        color, width = (HIGHLIGHT, thick) if index == 0 else (OTHERS, max(1, thick // 2))
        x0, y0, x1, y1 = detections[index].box  # Pillow's corner is the last pixel
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=width)
        _label(draw, detections[index], color, image.shape[1])
    return np.asarray(canvas)


def _label(
    draw: ImageDraw.ImageDraw, found: Detection, color: tuple[int, int, int], width: int
) -> None:
    """Above the box, or inside where there is no room above."""
    font = ImageFont.load_default(size=max(10, round(LETTER_FRACTION * width)))
    text = f"{found.prompt} {found.score:.2f}"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x0, y0, _, _ = found.box
    x = max(0.0, min(x0, width - right))
    y = y0 - bottom - 1 if y0 > bottom else y0
    draw.rectangle((x + left, y + top, x + right, y + bottom), fill=BACKGROUND)
    draw.text((x, y), text, fill=color, font=font)
