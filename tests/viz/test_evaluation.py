"""Pictures of what protocols got wrong."""

import dataclasses

import numpy as np
import pytest

from splatseg.evaluation import Case, Click
from splatseg.viz.evaluation import CELL, worst_montage
from splatseg.viz.pictures import HIGHLIGHT


def test_a_montage_of_worst_masks_fills_its_rows(trained):
    """Outlined where the truth is, painted where the mask is; four pictures in two rows."""
    lens = trained.frame("view_1").lens
    truth, nothing = np.zeros((2, lens.height, lens.width), dtype=bool)
    truth[20:50, 30:60] = True
    click = Click(1, "view_0", 0.5, 0.5)
    missed = Case(click, "a ball", "view_1", 0.0, nothing, truth)
    gone = dataclasses.replace(trained, capture="/moved/away")  # renders in place of photos
    one, four = worst_montage(gone, [missed]), worst_montage(gone, [missed] * 4)
    assert four.shape == (2 * one.shape[0], one.shape[1], 3)
    assert np.array_equal(four[: len(one), :CELL], one[:, :CELL])
    rows, columns = np.nonzero((one == HIGHLIGHT).all(axis=-1))
    scale = CELL / lens.width
    assert np.ptp(rows) == pytest.approx(30 * scale, abs=6)
    assert np.ptp(columns) == pytest.approx(30 * scale, abs=6)

    hit = worst_montage(gone, [dataclasses.replace(missed, predicted=truth, iou=1.0)])
    painted = (hit != one).any(axis=-1)
    assert painted.sum() >= 0.9 * (30 * scale) ** 2
