"""Selections and clicks on photos."""

import numpy as np
import pytest

from splatseg.scene import Scene
from splatseg.viz.photos import picture
from splatseg.viz.pictures import DIMMED, HIGHLIGHT, highlight, mark


def rgb(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_a_highlight_keeps_the_inside_and_dims_the_outside() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:12, 8:20] = True
    image = rgb(20, 30)
    shown = highlight(image, mask)
    assert shown.shape == image.shape and shown.dtype == np.uint8
    assert (shown[mask] == 200).all()
    assert tuple(shown[4, 10]) == tuple(shown[13, 10]) == HIGHLIGHT
    assert tuple(shown[14, 10]) != HIGHLIGHT
    assert (shown[0, 0] == int(200 * DIMMED)).all()
    assert (image == 200).all()  # the input is left alone


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_of_nothing_or_all_has_no_outline(value: bool) -> None:
    shown = highlight(rgb(6, 9), np.full((6, 9), value))
    assert (shown == (200 if value else int(200 * DIMMED))).all()


def test_a_mark_rings_its_point() -> None:
    image = rgb(100, 200)
    marked = mark(image, 50.5, 40.5)
    changed = np.argwhere((marked != image).any(axis=-1))
    low, high = changed.min(axis=0), changed.max(axis=0)
    assert np.abs((low + high) / 2 - (40.5, 50.5)).max() <= 1
    assert (marked[40, 50] == 200).all()  # what was clicked on stays visible
    assert (image == 200).all()
    mark(image, 199.9, 0.0)  # partly outside


def test_a_photo_is_a_picture_dimmed_outside_a_mask(trained: Scene) -> None:
    photo = np.asarray(picture(trained, "view_0"))
    assert photo.shape == (72, 96, 3)
    mask = np.zeros((72, 96), dtype=bool)
    mask[10:50, 10:50] = True
    assert np.array_equal(np.asarray(picture(trained, "view_0", mask)), highlight(photo, mask))
