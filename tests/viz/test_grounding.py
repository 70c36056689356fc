"""The picture of what a prompt was taken for."""

import numpy as np
import pytest

from splatseg.models.detector import Detection
from splatseg.viz.grounding import OTHERS, debug_picture
from splatseg.viz.pictures import HIGHLIGHT

SHAPE = (240, 320)


IMAGE = np.full((*SHAPE, 3), 100, dtype=np.uint8)


def picture(
    *boxes: tuple[float, ...], score: float = 0.5, text: str = "mug", mask=None, points=None
):
    drawn = debug_picture(IMAGE, [Detection(box, score, text) for box in boxes], mask, points)
    assert not np.shares_memory(drawn, IMAGE) and (IMAGE == 100).all()
    return drawn


def colored(picture: np.ndarray, color: object) -> np.ndarray:
    return (picture == np.array(color)).all(axis=-1)


def test_the_mask_is_tinted_and_nothing_else():
    mask = np.zeros(SHAPE, dtype=bool)
    for nothing in (picture(), picture(mask=mask), picture(points=np.zeros((0, 2)))):
        assert np.array_equal(nothing, IMAGE)
    mask[60:180, 50:200] = True
    assert np.array_equal((picture(mask=mask) != IMAGE).any(axis=-1), mask)


def test_the_best_box_is_the_thick_one():
    drawn = picture((100.0, 80.0, 220.0, 200.0), (20.0, 120.0, 90.0, 220.0))
    bright, gray = colored(drawn, HIGHLIGHT), colored(drawn, OTHERS)
    assert bright[80:200, 100:102].all() and bright[80:82, 100:220].all()
    assert bright[198:200, 100:220].all() and bright[80:200, 218:220].all()
    assert gray[120:220, 20].all() and not gray[121:219, 21].any()
    assert (drawn[83:198, 103:218] == 100).all()


@pytest.mark.parametrize("corner", [(0.0, 0.0), (300.0, 2.0), (250.0, 200.0)])
def test_texts_and_scores_are_written_in_the_picture(corner):
    box = (*corner, 320.0, 240.0)
    changed = (picture(box, text="red mug") != picture(box, text="led mug")).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert len(rows) > 3 and rows[0] > 0 and rows[-1] < SHAPE[0] - 1
    assert columns[0] > 0 and columns[-1] < SHAPE[1] - 1
    assert (picture(box, score=0.87) != picture(box, score=0.12)).any()


def test_boxes_at_the_edges_and_without_area():
    bright = colored(picture((0.0, 0.0, 320.0, 240.0)), HIGHLIGHT)
    assert bright[-1].all() and bright[:, -1].all()
    picture((320.0, 240.0, 320.0, 240.0))


def test_a_ring_around_each_point():
    points = np.array([[80.0, 60.0], [240.0, 180.0]])
    drawn = picture(points=points)
    for x, y in points.astype(int):
        near = drawn[y - 15 : y + 16, x - 15 : x + 16]
        assert colored(near, (255, 255, 255)).any() and (drawn[y, x] == 100).all()
