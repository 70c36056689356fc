"""Masks over a photo."""

import numpy as np

from splatseg.masks import Segments
from splatseg.viz.labels import label_palette
from splatseg.viz.segments import OUTLINE_STRENGTH, TINT, paint_segments


def rgb(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def nested() -> Segments:
    """A whole at the left edge, and a part that shares its upper border."""
    masks = np.zeros((2, 30, 40), dtype=bool)
    masks[0, 10:20, 20:30] = masks[1, 10:28, :30] = True
    return Segments.from_masks(masks)


def test_segments_are_tinted_and_outlined_in_their_colors() -> None:
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


def test_masks_of_another_size_are_scaled_to_the_photo() -> None:
    doubled = paint_segments(rgb(60, 80), nested())
    assert np.array_equal(doubled, paint_segments(rgb(60, 80), nested().resized(60, 80)))
    assert doubled.shape == (60, 80, 3)


def test_a_photo_without_masks_is_shown_as_it_is() -> None:
    for masks in (np.zeros((0, 6, 9), dtype=bool), np.zeros((2, 6, 9), dtype=bool)):
        assert (paint_segments(rgb(6, 9), Segments.from_masks(masks)) == 200).all()
