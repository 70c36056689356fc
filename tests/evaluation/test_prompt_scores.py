"""Masks of prompts against files whose scores are known."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from splatseg.evaluation import MASK_FIGURES, MaskScores, PromptScore, PromptTruth, score_prompts
from splatseg.evaluation.prompt_scores import score_prediction
from splatseg.evaluation.prompts import prompts_report

ZERO, ONE = MaskScores(0.0, 0.0, 0.0), MaskScores(1.0, 1.0, 1.0)


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


def test_the_truth_itself_scores_one_where_it_is_asked_for(tmp_path):
    masks = {"v0": {"cup": left(4), "can": left(9)}, "v1": {}, "v2": {"cup": left(7)}}
    can, cup = score_prompts(truth_in(tmp_path, **masks), lambda view, name: masks[view][name])
    assert (cup.prompt, list(cup.in_views)) == ("cup", ["v0", "v2"])
    assert (cup.scores, cup.other_views) == (ONE, ONE)
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
    assert score_prediction(left(0), truth) == score_prediction(None, truth) == ZERO


def authors_boundary(mask: np.ndarray) -> np.ndarray:
    """As LERF-Mask's script defines it: a frame of zeros, then 3x3 erosions one by one."""
    height, width = mask.shape
    eroded = np.pad(mask, 1)
    for _ in range(max(1, round(0.02 * math.sqrt(height**2 + width**2)))):
        before = eroded.copy()
        for y in range(1, height + 1):
            for x in range(1, width + 1):
                eroded[y, x] = before[y - 1 : y + 2, x - 1 : x + 2].all()
    return mask & ~eroded[1:-1, 1:-1]


SHAPES = st.sampled_from([(1, 1), (5, 7), (3, 90), (60, 70)])  # 1, 1, 2 and 2 erosions


@settings(derandomize=True, deadline=None, max_examples=20)
@given(SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))))
def test_boundary_iou_is_the_authors(masks):
    a, b = (mask.repeat(2, axis=0)[: len(mask)] for mask in masks)
    inner, outer = authors_boundary(a), authors_boundary(b)
    union = np.count_nonzero(inner | outer)
    expected = np.count_nonzero(inner & outer) / union if union else 1.0
    assert score_prediction(a, b).mbiou == expected


def test_the_report_has_means_with_and_without_the_reference():
    half = MaskScores(0.5, 0.25, 0.0)
    prompts = [
        PromptScore("red cup", "view_0", {"view_0": ONE, "view_2": half}),
        PromptScore("can", "view_0", {"view_0": half}),
    ]
    report = prompts_report(prompts, MASK_FIGURES)
    first, second = report.pop("objects")
    assert report == {
        "miou": 0.625,
        "mbiou": 0.4375,
        "biou2": 0.25,
        "other_views": {"miou": 0.5, "mbiou": 0.25, "biou2": 0.0},
        "reference": "view_0",
    }
    assert (first["name"], first["views"], first["miou"]) == ("red cup", 2, 0.75)
    assert first["other_views"] == {"miou": 0.5, "mbiou": 0.25, "biou2": 0.0}
    assert second["other_views"] == {"miou": None, "mbiou": None, "biou2": None}
    assert prompts_report(prompts[1:], ["miou"]) == {
        "miou": 0.5,
        "other_views": {"miou": None},
        "reference": "view_0",
        "objects": [{"name": "can", "views": 1, "miou": 0.5, "other_views": {"miou": None}}],
    }
