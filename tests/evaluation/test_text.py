"""Masks of prompts against LERF-Mask's files, whose scores are known."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from splatseg.evaluation.text import score_prediction

from splatseg.evaluation import MaskScores, PromptTruth, score_prompts

ZERO, ONE = MaskScores(0.0, 0.0, 0.0), MaskScores(1.0, 1.0, 1.0)

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def left(columns: int, height: int = 10, width: int = 20) -> np.ndarray:
    """A mask of the first columns."""
    mask = np.zeros((height, width), dtype=bool)
    mask[:, :columns] = True
    return mask


def truth_in(folder: Path, **views: dict[str, np.ndarray]) -> PromptTruth:
    """Files of true masks, 255 inside."""
    files: dict[str, dict[str, Path]] = {view: {} for view in views}
    for view, masks in views.items():
        for prompt, mask in masks.items():
            files[view][prompt] = folder / f"{view}_{prompt}.png"
            Image.fromarray(255 * mask.astype(np.uint8)).save(files[view][prompt])
    prompts = sorted({prompt for masks in views.values() for prompt in masks})
    return PromptTruth(tuple(prompts), files)


def test_the_truth_itself_scores_one(tmp_path):
    masks = {"v0": {"cup": left(4), "can": left(9)}, "v1": {}, "v2": {"cup": left(7)}}
    truth = truth_in(tmp_path, **masks)
    asked = []

    def predict(view, prompt):
        asked.append((view, prompt))
        return masks[view][prompt]

    can, cup = score_prompts(truth, predict)
    assert sorted(asked) == [("v0", "can"), ("v0", "cup"), ("v2", "cup")]
    assert (cup.prompt, cup.scores, cup.other_views) == ("cup", ONE, ONE)
    assert (can.prompt, can.scores, can.other_views) == ("can", ONE, None)


def test_means_go_over_views_and_no_answer_counts(tmp_path):
    truth = truth_in(tmp_path, v0={"cup": left(4)}, v1={"cup": left(8)}, v2={"cup": left(8)})
    answers = {"v0": left(4), "v1": left(4), "v2": None}
    [cup] = score_prompts(truth, lambda view, prompt: answers[view])
    assert cup.scores.miou == pytest.approx((1 + 0.5 + 0) / 3)
    assert cup.other_views is not None
    assert cup.other_views.miou == pytest.approx((0.5 + 0) / 2)


def test_a_prompt_that_the_reference_does_not_show_is_scored_where_it_shows(tmp_path):
    truth = truth_in(tmp_path, v0={"cup": left(4)}, v1={"can": left(4)})
    can, _ = score_prompts(truth, lambda view, prompt: left(4))
    assert list(can.in_views) == ["v1"]
    assert can.scores == can.other_views == ONE


def test_predictions_take_the_size_of_the_truth():
    truth = left(8, 10, 20)
    assert score_prediction(left(16, 20, 40), truth) == ONE
    assert score_prediction(left(2, 5, 5), truth) == ONE
    # Pixels 0 and 1 of 7 cover the centers of 6 of the 20 columns: up to 20 x 2 / 7 = 5.7.
    assert score_prediction(left(2, 10, 7), truth).miou == 6 / 8
    assert score_prediction(left(0), truth) == ZERO
    assert score_prediction(None, truth) == ZERO


def authors_boundary(mask: np.ndarray) -> np.ndarray:
    """As LERF-Mask's script defines it: a frame of zeros, then 3x3 erosions one by one."""
    height, width = mask.shape
    eroded = np.zeros((height + 2, width + 2), dtype=bool)
    eroded[1:-1, 1:-1] = mask
    for _ in range(max(1, round(0.02 * math.sqrt(height**2 + width**2)))):
        before = eroded.copy()
        for y in range(1, height + 1):
            for x in range(1, width + 1):
                eroded[y, x] = all(before[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    return mask & ~eroded[1:-1, 1:-1]


SHAPES = st.sampled_from([(1, 1), (5, 7), (3, 90), (60, 70)])  # 1, 1, 2 and 2 erosions


@repeatable
@given(SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))))
def test_boundary_iou_is_the_authors(masks):
    a, b = (mask.repeat(2, axis=0)[: len(mask)] for mask in masks)
    inner, outer = authors_boundary(a), authors_boundary(b)
    union = np.count_nonzero(inner | outer)
    expected = np.count_nonzero(inner & outer) / union if union else 1.0
    assert score_prediction(a, b).mbiou == expected
