"""Detections: prompts in plain form, boxes, and the best frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.text import Detection, best_reference, plain
from splatseg.text.detection import best_first, clipped, corners


def found(score, size=10, prompt="mug"):
    return Detection((0.0, 0.0, float(size), float(size)), score, prompt)


def test_prompts_in_plain_form():
    assert plain("  Red\tMUG ") == "red mug"
    for empty in ("", " ", "\n"):
        with pytest.raises(SplatsegError, match="has no words; expected some"):
            plain(empty)


def test_the_best_come_first_and_equals_keep_their_order():
    scores = np.array([0.2, 0.9, 0.5, 0.9, 0.1, np.nan])
    assert best_first(scores, 0.1).tolist() == [1, 3, 2, 0]
    assert best_first(scores, 0.9).tolist() == []
    assert best_first(scores[:0], 0.0).tolist() == []


def test_corners_of_centred_boxes():
    assert corners(np.array([[5.0, 6.0, 4.0, 2.0]])).tolist() == [[3, 5, 7, 7]]


@given(st.lists(st.tuples(*[st.floats(-100, 200)] * 4), max_size=5))
def test_clipping_is_the_part_inside(boxes):
    array = np.sort(np.array(boxes).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    for (x0, y0, x1, y1), before in zip(clipped(array, 60, 40), array.tolist(), strict=True):
        assert x0 == min(max(before[0], 0), 60) and y1 == min(max(before[3], 0), 40)
        assert 0 <= x0 <= x1 <= 60 and 0 <= y0 <= y1 <= 40


def test_area_of_a_box():
    assert Detection((1.0, 2.0, 4.0, 10.0), 0.5, "mug").area == 24


def test_the_mask_is_no_part_of_what_makes_detections_equal():
    mask = np.ones((2, 2), dtype=bool)
    box = (0.0, 0.0, 2.0, 2.0)
    assert Detection(box, 0.5, "mug", mask) == Detection(box, 0.5, "mug")


# --- The reference


def test_the_highest_score_is_the_reference():
    views = {"a": [found(0.5)], "b": [found(0.2), found(0.9)], "c": [found(0.8, 100)], "d": []}
    assert best_reference(views) == "b"


def test_ties_go_to_the_larger_box_and_then_to_the_name():
    assert best_reference({"a": [found(0.5, 10)], "b": [found(0.5, 12)]}) == "b"
    assert best_reference({"b": [found(0.5)], "a": [found(0.5)]}) == "a"
    two = {"a": [found(0.5, 10), found(0.5, 20)], "b": [found(0.5, 15)]}
    assert best_reference(two) == "a"


def test_nothing_found_has_no_reference():
    assert best_reference({}) is None
    assert best_reference({"a": [], "b": []}) is None
