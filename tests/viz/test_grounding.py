"""The picture of what a prompt was taken for."""

import numpy as np
import pytest

from splatseg.models.detector import Detection
from splatseg.viz.grounding import OTHERS, debug_picture
from splatseg.viz.pictures import HIGHLIGHT

SHAPE = (240, 320)


@pytest.fixture
def image():
    return np.full((*SHAPE, 3), 100, dtype=np.uint8)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def colored(picture, color):
    return (picture == np.array(color)).all(axis=-1)


def test_nothing_to_show_leaves_the_image_as_it_is(image):
    for mask in (None, np.zeros(SHAPE, dtype=bool)):
        assert np.array_equal(debug_picture(image, [], mask), image)


def test_the_mask_is_tinted_and_nothing_else(image):
    mask = rectangle(50, 60, 200, 180)
    picture = debug_picture(image, [], mask)
    assert np.array_equal((picture != image).any(axis=-1), mask)
    assert not np.shares_memory(picture, image) and (image == 100).all()


def test_the_best_box_is_the_thick_one(image):
    best = Detection((100.0, 80.0, 220.0, 200.0), 0.876, "red mug")
    other = Detection((20.0, 120.0, 90.0, 220.0), 0.5, "red mug")
    picture = debug_picture(image, [best, other], None)
    bright, gray = colored(picture, HIGHLIGHT), colored(picture, OTHERS)
    assert bright[80:200, 100:102].all() and bright[80:82, 100:220].all()
    assert bright[198:200, 100:220].all() and bright[80:200, 218:220].all()
    assert gray[120:220, 20].all() and not gray[121:219, 21].any()
    inside = rectangle(103, 83, 218, 198)
    assert np.array_equal(picture[inside], image[inside])


@pytest.mark.parametrize("corner", [(0.0, 0.0), (300.0, 2.0), (250.0, 200.0)])
def test_labels_stay_in_the_picture(image, corner):
    x, y = corner
    with_label = debug_picture(image, [Detection((x, y, 320.0, 240.0), 0.25, "red mug")], None)
    other = debug_picture(image, [Detection((x, y, 320.0, 240.0), 0.25, "led mug")], None)
    changed = (with_label != other).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert len(rows) > 3 and rows[0] > 0 and rows[-1] < SHAPE[0] - 1
    assert columns[0] > 0 and columns[-1] < SHAPE[1] - 1


def test_boxes_at_the_edges_and_without_area(image):
    picture = debug_picture(image, [Detection((0.0, 0.0, 320.0, 240.0), 0.5, "mug")], None)
    bright = colored(picture, HIGHLIGHT)
    assert bright[-1].all() and bright[:, -1].all()
    debug_picture(image, [Detection((320.0, 240.0, 320.0, 240.0), 0.5, "mug")], None)


def test_the_score_is_written(image):
    box = (100.0, 80.0, 220.0, 200.0)
    one, two = (debug_picture(image, [Detection(box, s, "mug")], None) for s in (0.87, 0.12))
    assert (one != two).any()


def test_a_ring_around_each_point(image):
    points = np.array([[80.0, 60.0], [240.0, 180.0]])
    picture = debug_picture(image, [], None, points)
    for x, y in points.astype(int):
        near = picture[y - 15 : y + 16, x - 15 : x + 16]
        assert colored(near, (255, 255, 255)).any() and np.array_equal(picture[y, x], image[y, x])
    assert np.array_equal(debug_picture(image, [], None, points[:0]), image)
