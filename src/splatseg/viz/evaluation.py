"""What protocols got wrong: the worst masks of clicks, and what prompts were taken for."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from splatseg.capture.resampling import resize
from splatseg.evaluation import Case
from splatseg.images import RGB, AnyRGB, scaled
from splatseg.masks import Segments
from splatseg.scene import Scene
from splatseg.scene.photos import photo_or_render
from splatseg.text import Grounding
from splatseg.viz.grounding import debug_picture
from splatseg.viz.montages import captioned_montage
from splatseg.viz.pictures import HIGHLIGHT
from splatseg.viz.segments import paint_segments

COLUMNS = 3
CELL = 480  # pixels
CAPTION_LETTERS = 38  # as many as fit above a cell
OUTLINE = 2  # pixels of the cell


def worst_montage(scene: Scene, cases: Sequence[Case]) -> RGB:
    """Each case's photo with the predicted mask painted and the true one outlined.

    Args:
        scene: of the frames; where a photo is missing, its rendering is shown.
        cases: one or more.
    """
    cells = [_cell(scene, case) for case in cases]
    captions = [f"{case.iou:.2f} {case.name}, {case.frame}"[:CAPTION_LETTERS] for case in cases]
    return captioned_montage(cells, captions, COLUMNS, CELL)


def grounding_montage(image: RGB, found: Mapping[str, Grounding]) -> AnyRGB:
    """The reference view for each prompt, with what was found there."""
    cells = [
        scaled(debug_picture(image, grounding.detections, grounding.mask), CELL)
        for grounding in found.values()
    ]
    captions = [prompt[:CAPTION_LETTERS] for prompt in found]
    return captioned_montage(cells, captions, COLUMNS, CELL)


def _cell(scene: Scene, case: Case) -> RGB:
    """Drawn at the montage's size: lines on a large photo would vanish when it is shrunk."""
    photo = scaled(photo_or_render(scene, scene.frame(case.frame)), CELL)
    height, width = photo.shape[:2]
    predicted, truth = (
        resize(mask, width, height, nearest=True) for mask in (case.predicted, case.truth)
    )
    painted = paint_segments(photo, Segments.from_masks(predicted[None]))
    around = np.asarray(ndimage.binary_dilation(truth, iterations=OUTLINE), dtype=bool)
    painted[around & ~truth] = HIGHLIGHT
    return painted
