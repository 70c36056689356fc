"""Selections and clicks on photos."""

import numpy as np

from splatseg.viz.photos import picture
from splatseg.viz.pictures import DIMMED, HIGHLIGHT, highlight, mark


def test_a_highlight_keeps_the_inside_and_dims_the_outside(rgb):
    mask, image = np.zeros((20, 30), dtype=bool), rgb(20, 30)
    mask[5:12, 8:20] = True
    shown = highlight(image, mask)
    assert shown.shape == image.shape and shown.dtype == np.uint8
    assert (shown[mask] == 200).all() and (shown[0, 0] == int(200 * DIMMED)).all()
    assert tuple(shown[4, 10]) == tuple(shown[13, 10]) == HIGHLIGHT != tuple(shown[14, 10])
    assert (image == 200).all()  # the input is left alone
    for value in (False, True):  # a mask of nothing or all has no outline
        shown = highlight(image, np.full((20, 30), value))
        assert (shown == (200 if value else int(200 * DIMMED))).all()


def test_a_mark_rings_its_point(rgb):
    image = rgb(100, 200)
    marked = mark(image, 50.5, 40.5)
    changed = np.argwhere((marked != image).any(axis=-1))
    low, high = changed.min(axis=0), changed.max(axis=0)
    assert np.abs((low + high) / 2 - (40.5, 50.5)).max() <= 1
    assert (marked[40, 50] == 200).all()  # what was clicked on stays visible
    assert (image == 200).all()
    mark(image, 199.9, 0.0)  # partly outside


def test_a_photo_is_a_picture_dimmed_outside_a_mask(trained):
    photo = np.asarray(picture(trained, "view_0"))
    assert photo.shape == (72, 96, 3)
    mask = np.zeros((72, 96), dtype=bool)
    mask[10:50, 10:50] = True
    assert np.array_equal(np.asarray(picture(trained, "view_0", mask)), highlight(photo, mask))
