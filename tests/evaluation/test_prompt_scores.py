"""Masks of prompts against files whose scores are known."""

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
    return np.tile(np.arange(width) < columns, (height, 1))


def test_prompts_are_scored_where_they_are_asked_for_and_no_answer_counts(tmp_path):
    masks = {"v0": {"cup": left(4)}, "v1": {"can": left(9)}, "v2": {"cup": left(8)}, "v3": {}}
    masks["v4"] = {"cup": left(8)}
    files = {
        view: {name: tmp_path / f"{view}_{name}.png" for name in masks[view]} for view in masks
    }
    for view, paths in files.items():
        for name, path in paths.items():
            Image.fromarray(255 * masks[view][name].astype(np.uint8)).save(path)
    answers = masks | {"v2": {"cup": left(4)}, "v4": {"cup": None}}
    truth = PromptTruth(("can", "cup"), files)
    can, cup = score_prompts(truth, lambda view, name: answers[view][name])
    assert (cup.prompt, list(cup.in_views)) == ("cup", ["v0", "v2", "v4"])
    assert cup.scores.miou == pytest.approx((1 + 0.5 + 0) / 3)
    assert cup.other_views.miou == pytest.approx((0.5 + 0) / 2)
    assert (can.prompt, can.scores, can.other_views) == ("can", ONE, ONE)


def test_predictions_take_the_size_of_the_truth():
    truth = left(8, 10, 20)
    assert score_prediction(left(16, 20, 40), truth) == ONE
    assert score_prediction(left(2, 5, 5), truth) == ONE
    # Pixels 0 and 1 of 7 cover the centers of 6 of the 20 columns: up to 20 x 2 / 7 = 5.7.
    assert score_prediction(left(2, 10, 7), truth).miou == 6 / 8
    assert score_prediction(left(0), truth) == score_prediction(None, truth) == ZERO


def authors_boundary(mask: np.ndarray) -> np.ndarray:
    """As LERF-Mask's script defines it: a frame of zeros, then 3x3 erosions one by one."""
    (height, width), eroded = mask.shape, np.pad(mask, 1)
    for _ in range(max(1, round(0.02 * np.hypot(height, width)))):
        windows = np.lib.stride_tricks.sliding_window_view(eroded, (3, 3))
        eroded = np.pad(windows.all(axis=(2, 3)), 1)
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
    others = {"miou": 0.5, "mbiou": 0.25, "biou2": 0.0}
    means = {"miou": 0.625, "mbiou": 0.4375, "biou2": 0.25}
    assert report == means | {"other_views": others, "reference": "view_0"}
    assert (first["name"], first["views"], first["miou"]) == ("red cup", 2, 0.75)
    assert first["other_views"] == others
    assert second["other_views"] == dict.fromkeys(others)
    miou = {"miou": 0.5, "other_views": {"miou": None}}
    objects = [{"name": "can", "views": 1, **miou}]
    expected = miou | {"reference": "view_0", "objects": objects}
    assert prompts_report(prompts[1:], ["miou"]) == expected
