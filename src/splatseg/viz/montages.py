"""Several pictures in one. Images are uint8 RGB, H W 3."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from splatseg.images import AnyRGB, scaled
from splatseg.viz.labels import BACKGROUND

CAPTION_COLOR = (235, 235, 235)
CAPTION_FRACTION = 0.055  # of a cell's width: the height of the caption's letters
MARGIN = 6  # pixels between the cells


def montage(rows: Sequence[Sequence[AnyRGB]], captions: Sequence[str], cell_width: int) -> AnyRGB:
    """Pictures side by side, each `cell_width` wide, under one caption per column."""
    cells = [[Image.fromarray(scaled(image, cell_width)) for image in row] for row in rows]
    font_size = max(12, round(CAPTION_FRACTION * cell_width))
    font = ImageFont.load_default(size=font_size)
    caption_height = round(1.8 * font_size)
    columns = max(len(row) for row in cells)
    width = columns * (cell_width + MARGIN) + MARGIN
    height = caption_height + sum(max(c.height for c in row) + MARGIN for row in cells) + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, caption in enumerate(captions):
        x = MARGIN + column * (cell_width + MARGIN)
        draw.text((x + 2, MARGIN), caption, fill=CAPTION_COLOR, font=font)
    y = caption_height + MARGIN
    for row in cells:
        for column, cell in enumerate(row):
            sheet.paste(cell, (MARGIN + column * (cell_width + MARGIN), y))
        y += max(cell.height for cell in row) + MARGIN
    return np.asarray(sheet)


def captioned_montage(
    cells: Sequence[AnyRGB], captions: Sequence[str], columns: int, cell_width: int
) -> AnyRGB:
    """Pictures of one size in rows of `columns`, each under a caption of its own."""
    blank = [np.full_like(cells[0], BACKGROUND)] * (-len(cells) % columns)
    filled = [*cells, *blank]
    starts = range(0, len(filled), columns)
    rows = [(filled[i : i + columns], captions[i : i + columns]) for i in starts]
    sheets = [montage([row], above, cell_width) for row, above in rows]
    return np.vstack(sheets)
