"""Detections: prompts in plain form, boxes, and the order of answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.models.detector import Detection, best_first, clipped, corners, plain


def test_prompts_in_plain_form():
    assert plain("  Red\tMUG ") == "red mug"
    for empty in ("", " ", "\n"):
        with pytest.raises(SplatsegError, match="has no words; expected some"):
            plain(empty)


def test_the_best_come_first_and_equals_keep_their_order():
    scores = np.array([0.2, 0.9, 0.5, 0.9, 0.1, np.nan])
    assert best_first(scores, 0.1).tolist() == [1, 3, 2, 0]
    assert best_first(scores, 0.9).tolist() == best_first(scores[:0], 0.0).tolist() == []
    box = (0.0, 0.0, 2.0, 2.0)  # a mask is no part of what makes detections equal
    assert Detection(box, 0.5, "mug", np.ones((2, 2), bool)) == Detection(box, 0.5, "mug")


@given(st.lists(st.tuples(*[st.floats(-100, 200)] * 4), max_size=5))
def test_clipping_is_the_part_inside(boxes):
    array = np.sort(np.array(boxes).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    for (x0, y0, x1, y1), before in zip(clipped(array, 60, 40), array.tolist(), strict=True):
        assert x0 == min(max(before[0], 0), 60) and y1 == min(max(before[3], 0), 40)
        assert 0 <= x0 <= x1 <= 60 and 0 <= y0 <= y1 <= 40
    assert corners(np.array([[5.0, 6.0, 4.0, 2.0]])).tolist() == [[3, 5, 7, 7]]
