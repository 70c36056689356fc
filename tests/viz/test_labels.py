"""Label maps as colors."""

import numpy as np

from splatseg.viz.labels import BACKGROUND, label_palette, number_labels, paint_labels

MIN_NEIGHBOR_DISTANCE = 100  # in RGB, of ids that follow each other; below, hues look alike
MIN_DISTANCE = 20  # in RGB, of any two of 24 ids
MANY = 24


def test_the_palettes_colors_differ():
    palette = label_palette(MANY)
    assert palette.shape == (MANY + 1, 3)
    difference = palette[:, None].astype(int) - palette[None].astype(int)
    apart = np.sqrt((difference**2).sum(axis=-1))
    assert apart[~np.eye(MANY + 1, dtype=bool)].min() > MIN_DISTANCE
    assert np.diagonal(apart, offset=1).min() > MIN_NEIGHBOR_DISTANCE
    assert len(np.unique(label_palette(300), axis=0)) == 301


def test_labels_are_painted_with_colors_that_they_keep_whatever_the_count():
    assert np.array_equal(label_palette(50)[:8], label_palette(7))
    assert label_palette(0).tolist() == [list(BACKGROUND)]
    labels = np.array([[0, 2], [1, 2]], dtype=np.int64)
    assert np.array_equal(paint_labels(labels, 2), label_palette(2)[labels])


def test_labels_are_numbered_where_there_is_room():
    labels = np.zeros((100, 200), dtype=np.int64)
    labels[20:80, 20:80] = 12
    labels[2:5, 150:190] = 3  # too flat for a number
    image = np.full((100, 200, 3), 200, dtype=np.uint8)
    numbered = number_labels(image, labels)
    changed = np.argwhere((numbered != image).any(axis=-1))
    assert np.abs(changed.mean(axis=0) - (49.5, 49.5)).max() < 4
    assert (labels[tuple(changed.T)] == 12).all()
    assert np.array_equal(number_labels(image, np.zeros_like(labels)), image)
