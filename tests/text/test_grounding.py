"""Grounding: what a prompt means in an image, and which answers agree."""

import numpy as np
import pytest
import torch
from builders.box_segmenter import BoxSegmenter

from splatseg.models.detector import Detection
from splatseg.segmentation import BoxPrompt, MaskPrompt
from splatseg.text import DetectorSource, Grounder, agreeing, plain_box

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
    edge = Detection((8.0, 1.0, 8.0, 5.0), 0.9, "mug")
    answers = {
        "mug": [edge, Detection(LARGE, 0.8, "mug"), Detection(SMALL, 0.4, "mug")],
        "book": [Detection(SMALL, 0.5, "book", DRAWN)],
        "edge": [edge],
    }
    return DetectorSource(Detecting(answers))


def test_the_best_answer_of_each_prompt_that_has_one_in_the_image(finder):
    found = Grounder(finder).ground("view", IMAGE, ["lamp", "book", "mug", "edge"])
    assert list(found) == ["book", "mug"]
    assert found["mug"].score == 0.8 and len(found["mug"].detections) == 2
    assert found["mug"].region == BoxPrompt("view", *LARGE)
    region = found["book"].region
    assert isinstance(region, MaskPrompt) and region.view == "view"
    assert np.array_equal(region.mask, DRAWN)


@pytest.mark.parametrize("is_blind", [True, False])
def test_a_segmenter_turns_boxes_into_masks(finder, is_blind):
    grounder = Grounder(finder, BoxSegmenter(1, scale=1.0, is_blind=is_blind))
    assert grounder.name == "known, boxes"
    found = grounder.ground("view", IMAGE, ["mug", "book"])
    if is_blind:
        assert found["mug"].region == BoxPrompt("view", *LARGE)
    else:
        assert np.array_equal(found["mug"].region.mask, plain_box(LARGE, 6, 8))
    assert np.array_equal(found["book"].region.mask, DRAWN)


def unit(*degrees):
    """A row for each angle."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize(
    ("queries", "scores", "agreed"),
    [
        ([unit(0.0), unit(90.0), unit(5.0), unit(180.0, 10.0)], [0.3, 0.6, 0.3, 0.3], [0, 2, 3]),
        ([unit(0.0), unit(90.0), unit(91.0)], [0.9, 0.3, 0.3], [0]),  # one sure, two doubtful
        ([unit(0.0), unit(90.0), unit(91.0)], [0.5, 0.3, 0.3], [1, 2]),
        ([unit(30.0)], [0.1], [0]),
    ],
)
def test_the_answers_that_most_of_them_agree_with(queries, scores, agreed):
    assert agreeing(queries, scores, 0.9) == agreed
