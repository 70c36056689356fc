"""Pictures for people: feature maps, label maps and masks as colors, and contact sheets.

Images are uint8 RGB arrays, H W 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Integer, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import Tensor

from splatseg.images import RGB, AnyRGB, scaled, to_uint8
from splatseg.masks import Segments
from splatseg.segmentation import FeatureMap

BACKGROUND = (24, 24, 28)
CAPTION_COLOR = (235, 235, 235)
CAPTION_FRACTION = 0.055  # of a cell's width: the height of the caption's letters
RING_FRACTION = 0.015  # of a picture's width: the radius of the ring around a click
NUMBER_ROOM = 0.4  # of a number's height: how far its place lies inside the label, at least
MARGIN = 6  # pixels between the cells of a contact sheet
HIGHLIGHT = (255, 176, 0)
DIMMED = 0.35  # brightness of what is not selected
TINT = 0.5  # share of a mask's color in its pixels
OUTLINE_FRACTION = 1 / 800  # of a picture's width: how thick a subpart's outline is
OUTLINE_STRENGTH = 0.75  # share of a mask's color in its outline; the rest is white
GOLDEN_RATIO = 0.61803398875  # hues this far apart never repeat, and neighbors differ
COLOR_GROUPS = 24  # of alike features, that get colors of their own
COLOR_ALIKE = 0.8  # cosine
COLOR_RIDGE = 1e-2  # keeps what lies between groups from colors far outside the range


@dataclass(frozen=True)
class FeatureColors:
    """A fixed linear map from unit features to RGB: what has another feature has another color.

    Principal axes would show three dimensions of sixteen: objects whose features differ in the
    others would look alike.
    """

    weights: Float[Tensor, "f 3"]
    bias: Float[Tensor, " 3"]

    @staticmethod
    def fit(samples: Float[Tensor, "n f"]) -> "FeatureColors":
        """The map that gives groups of alike `samples` colors apart; for all views of a scene."""
        centers = _groups(samples.double().cpu())
        if len(centers) == 0:
            return FeatureColors(samples.new_zeros(samples.shape[1], 3), samples.new_zeros(3))
        colors = torch.from_numpy(label_palette(len(centers))[1:] / 255)
        mean = centers.mean(dim=0)
        ridge = COLOR_RIDGE * torch.eye(len(mean), dtype=torch.float64)
        around = centers - mean
        weights = torch.linalg.solve(around.T @ around + ridge, around.T @ colors)
        bias = colors.mean(dim=0) - mean @ weights
        return FeatureColors(weights.to(samples), bias.to(samples))

    def paint(self, features: FeatureMap) -> RGB:
        """The feature map in colors, background dark."""
        image = to_uint8(features.features @ self.weights + self.bias)
        image[~features.covered.cpu().numpy()] = BACKGROUND
        return image


def _groups(samples: Float[Tensor, "n f"]) -> Float[Tensor, "k f"]:
    """Means of the largest groups of samples that are alike, at most COLOR_GROUPS."""
    near = samples @ samples.T >= COLOR_ALIKE
    left = torch.ones(len(samples), dtype=torch.bool)
    centers = []
    while left.any() and len(centers) < COLOR_GROUPS:
        counts = (near & left).sum(dim=1).where(left, -1)
        members = near[counts.argmax()] & left
        centers.append(samples[members].mean(dim=0))
        left &= ~members
    return torch.stack(centers) if centers else samples[:0]


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


def paint_segments(photo: RGB, segments: Segments) -> RGB:
    """The photo with every mask tinted and outlined in its color, small masks over large ones.

    Masks of another size than the photo's are scaled. Where they are nested the innermost tints,
    but the outlines of all are drawn: a whole's is the thickest, so that it shows beside a part's
    along a border that they share. Along the photo's edge there are none.
    """
    height, width = photo.shape[:2]
    if (segments.height, segments.width) != (height, width):
        segments = segments.resized(height, width)
    palette = label_palette(len(segments)).astype(np.float32)
    labels, boxes = segments.label_map(), segments.boxes
    gray = photo.mean(axis=-1, keepdims=True, dtype=np.float32)
    tinted = (1 - TINT) * gray + (TINT * palette)[labels]
    painted = np.where(labels[..., None] > 0, tinted.astype(np.uint8), photo)
    outlines = (255 - OUTLINE_STRENGTH * (255 - palette)).astype(np.uint8)
    thinnest = max(1, round(OUTLINE_FRACTION * width))
    depths = segments.nesting().depth
    for index in np.argsort(-segments.areas, kind="stable").tolist():
        thickness = thinnest * max(1, 3 - int(depths[index]))
        window = _window(boxes[index], thickness)
        edge = _inner_edge(segments.mask(index)[window], thickness)
        painted[window][edge] = outlines[index + 1]
    return painted


def _window(box: Int64[np.ndarray, " 4"], margin: int) -> tuple[slice, slice]:
    """The rows and columns of a box x, y, width, height and of a margin around it."""
    x, y, width, height = box.tolist()
    return np.s_[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]


def _inner_edge(mask: Bool[np.ndarray, "h w"], thickness: int) -> Bool[np.ndarray, "h w"]:
    """The mask's pixels at most `thickness` from one outside it; the array's border is none."""
    near = ndimage.maximum_filter(~mask, size=2 * thickness + 1, mode="nearest")
    return mask & np.asarray(near, dtype=bool)


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


def number_labels(image: RGB, labels: Integer[np.ndarray, "h w"]) -> RGB:
    """The image with each label's id written where the label is widest, if it has the room."""
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    size = max(12, round(CAPTION_FRACTION * image.shape[1]))
    font = ImageFont.load_default(size=size)
    for label in np.unique(labels[labels > 0]).tolist():
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(labels == label, 1)))[1:-1, 1:-1]
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        if depth[row, column] >= NUMBER_ROOM * size:
            style: dict[str, Any] = {"anchor": "mm", "stroke_width": 2, "stroke_fill": (0, 0, 0)}
            draw.text((int(column), int(row)), str(label), fill="white", font=font, **style)
    return np.asarray(canvas)


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
