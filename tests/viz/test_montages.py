"""Several pictures in one."""

import numpy as np
import pytest

from splatseg.images import scaled
from splatseg.viz.labels import BACKGROUND
from splatseg.viz.montages import MARGIN, captioned_montage, montage


@pytest.mark.parametrize(
    ("rows", "columns", "height", "width", "cell"),
    [(1, 1, 1, 1, 1), (3, 2, 60, 7, 64), (2, 3, 5, 50, 201)],
)
def test_a_montage_holds_its_cells(rows, columns, height, width, cell, rgb):
    images = [[rgb(height, width)] * columns for _ in range(rows)]
    sheet = montage(images, ["photo"] * columns, cell)
    assert sheet.shape[1] == columns * (cell + MARGIN) + MARGIN
    cell_height = scaled(images[0][0], cell).shape[0]
    assert sheet.shape[0] > rows * (cell_height + MARGIN)
    last = sheet[-MARGIN - cell_height : -MARGIN, -MARGIN - cell : -MARGIN]
    assert (last == 200).all() and (sheet[-MARGIN:] == BACKGROUND).all()


def test_every_cell_has_its_caption_and_the_last_row_may_be_short(rgb):
    sheet = captioned_montage([rgb(10, 10)] * 4, ["a", "b", "c", "d"], 3, 50)
    one = montage([[rgb(10, 10)] * 3], ["a", "b", "c"], 50)
    assert sheet.shape == (2 * one.shape[0], one.shape[1], 3)
    assert np.array_equal(sheet[: len(one)], one)
    short = montage([[rgb(10, 10)] * 3, [rgb(10, 10)]], ["one caption for all"], 50)
    for picture in (sheet, short):
        assert (picture[-MARGIN - 50 : -MARGIN, MARGIN : MARGIN + 50] == 200).all()
        assert (picture[-MARGIN - 50 : -MARGIN, -MARGIN - 50 : -MARGIN] == BACKGROUND).all()
