"""Masks over a photo."""

import numpy as np

from splatseg.masks import Segments
from splatseg.viz.labels import label_palette
from splatseg.viz.segments import OUTLINE_STRENGTH, TINT, paint_segments


def nested() -> Segments:
    """A whole at the left edge, and a part that shares its upper border."""
    masks = np.zeros((2, 30, 40), dtype=bool)
    masks[0, 10:20, 20:30] = masks[1, 10:28, :30] = True
    return Segments.from_masks(masks)


def test_segments_are_tinted_and_outlined_in_their_colors(rgb):
    photo = rgb(30, 40, 100)
    painted = paint_segments(photo, nested())
    colors = label_palette(2).astype(float)
    tints = (1 - TINT) * 100 + TINT * colors
    outlines = 255 - OUTLINE_STRENGTH * (255 - colors)
    assert (photo == 100).all()  # the input is left alone
    assert np.abs(painted[15, 25] - tints[1]).max() <= 1  # the innermost tints
    assert np.abs(painted[23, 10] - tints[2]).max() <= 1
    assert (painted[5, 5] == 100).all() and (painted[15, 35] == 100).all()
    whole = [(27, 10), (25, 10), (11, 10), (12, 25)]  # thick: beside the part's above
    part = [(10, 25), (11, 25), (15, 20), (19, 25), (15, 29)]
    for index, places in ((1, part), (2, whole)):
        for place in places:
            assert np.abs(painted[place] - outlines[index]).max() <= 1, place
    assert np.abs(painted[20, 0] - tints[2]).max() <= 1  # the photo's edge has no outline


def test_masks_of_another_size_and_no_masks(rgb):
    """They are scaled to the photo; without masks it is shown as it is."""
    doubled = paint_segments(rgb(60, 80), nested())
    assert np.array_equal(doubled, paint_segments(rgb(60, 80), nested().resized(60, 80)))
    for count in (0, 2):
        masks = Segments.from_masks(np.zeros((count, 6, 9), dtype=bool))
        assert (paint_segments(rgb(6, 9), masks) == 200).all()
