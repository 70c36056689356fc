"""Grounding: what a prompt means in an image, and which answers agree."""

import numpy as np
import pytest
import torch

from splatseg.models.detector import Detection
from splatseg.models.segmenter import EncodedPhoto, Prediction
from splatseg.segmentation import BoxPrompt, MaskPrompt
from splatseg.text import DetectorSource, Grounder, agreeing

IMAGE = np.zeros((6, 8, 3), dtype=np.uint8)
LARGE, SMALL = (1.0, 1.0, 7.0, 5.0), (2.0, 2.0, 4.0, 4.0)
DRAWN = np.arange(48).reshape(6, 8) % 3 == 0


class Detecting:
    """A detector that knows its answers."""

    name = "known"

    def __init__(self, answers):
        self.answers = answers

    def detect(self, image, prompts):
        return [self.answers.get(prompt, []) for prompt in prompts]


@pytest.fixture
def finder():
    answers = {
        "mug": [Detection(LARGE, 0.8, "mug"), Detection(SMALL, 0.4, "mug")],
        "book": [Detection(SMALL, 0.5, "book", DRAWN)],
    }
    return DetectorSource(Detecting(answers))


def test_the_best_answer_of_each_prompt_that_has_one(finder):
    found = Grounder(finder).ground("view", IMAGE, ["lamp", "book", "mug"])
    assert list(found) == ["book", "mug"]
    assert found["mug"].score == 0.8 and len(found["mug"].detections) == 2
    assert found["mug"].region == BoxPrompt("view", *LARGE)
    region = found["book"].region
    assert isinstance(region, MaskPrompt) and region.frame == "view"
    assert np.array_equal(region.mask, DRAWN)


class BoxSegmenter:
    """Sees the two upper rows of each box, or nothing."""

    name = "upper rows"

    def __init__(self, is_seen):
        self.is_seen = is_seen

    def encode(self, photo):
        return EncodedPhoto(*photo.shape[:2], 1.0, 1.0, None)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        logits = np.full((len(boxes), 1, photo.height, photo.width), -8, dtype=np.float32)
        if self.is_seen:
            for of_box, (x0, y0, x1, _) in zip(logits[:, 0], boxes.astype(int), strict=True):
                of_box[y0 : y0 + 2, x0:x1] = 8
        return Prediction(logits, np.ones((len(boxes), 1), dtype=np.float32))


def test_a_box_outside_the_image_is_no_answer():
    edge = Detection((8.0, 1.0, 8.0, 5.0), 0.9, "mug")
    assert Grounder(DetectorSource(Detecting({"mug": [edge]}))).ground("view", IMAGE, ["mug"]) == {}
    both = DetectorSource(Detecting({"mug": [edge, Detection(SMALL, 0.4, "mug")]}))
    assert Grounder(both).ground("view", IMAGE, ["mug"])["mug"].region == BoxPrompt("view", *SMALL)


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_segmenter_turns_boxes_into_masks(finder, is_seen):
    grounder = Grounder(finder, BoxSegmenter(is_seen))
    assert grounder.name == "known, upper rows"
    found = grounder.ground("view", IMAGE, ["mug", "book"])
    if is_seen:
        upper = np.zeros((6, 8), dtype=bool)
        upper[1:3, 1:7] = True
        assert np.array_equal(found["mug"].region.mask, upper)
    else:
        assert found["mug"].region == BoxPrompt("view", *LARGE)
    assert np.array_equal(found["book"].region.mask, DRAWN)


def unit(*degrees):
    """A row for each angle."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_the_answers_that_most_of_them_agree_with():
    queries = [unit(0.0), unit(90.0), unit(5.0), unit(180.0, 10.0)]
    assert agreeing(queries, [0.3, 0.6, 0.3, 0.3], 0.9) == [0, 2, 3]


def test_one_sure_answer_outweighs_two_doubtful_ones():
    queries = [unit(0.0), unit(90.0), unit(91.0)]
    assert agreeing(queries, [0.9, 0.3, 0.3], 0.9) == [0]
    assert agreeing(queries, [0.5, 0.3, 0.3], 0.9) == [1, 2]


def test_a_single_answer_agrees_with_itself():
    assert agreeing([unit(30.0)], [0.1], 0.9) == [0]
