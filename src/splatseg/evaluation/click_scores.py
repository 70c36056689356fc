"""Masks from clicks against the truth: the scores of `click`, `click3` and `random-click`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from splatseg.errors import SplatsegError
from splatseg.evaluation.clicks import Click
from splatseg.evaluation.metrics import MaskScores, mean_scores, score_mask
from splatseg.evaluation.truth import MIN_TRUTH_PIXELS, Truth
from splatseg.progress import SILENT, Progress
from splatseg.segmentation.config import THRESHOLD

THRESHOLDS = np.arange(30, 100) / 100  # of `best`
MARGINS = (THRESHOLDS - THRESHOLD).astype(np.float32)
DEFAULT_LEVEL = int(np.searchsorted(THRESHOLDS, THRESHOLD))
WORST_CASES = 6  # as many as one picture shows well

Prediction = Float[np.ndarray, "h w"] | Bool[np.ndarray, "h w"] | None
"""By how much the cosine similarity is beyond `THRESHOLD`, or a mask; None for no answer."""

Predict = Callable[[str, Sequence[Click]], Iterable[Prediction]]
"""One test frame and some clicks to one prediction each: a frame is rendered once for all."""

_Answer = tuple[Click, Mapping[str, UInt8[np.ndarray, "h w"]]]
"""A click and, by test frame, how many of `THRESHOLDS` each pixel's similarity reaches."""


@dataclass(frozen=True)
class ClickScore:
    """One click, its scores averaged over the test views."""

    click: Click
    scores: MaskScores
    best: MaskScores


@dataclass(frozen=True, eq=False)
class Case:
    """One mask, in the test view `frame`, beside the truth's."""

    click: Click
    name: str
    """The object's."""
    frame: str
    iou: float
    predicted: Bool[np.ndarray, "h w"]
    truth: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class ObjectScore:
    """One object over its clicks; `views` test views show it."""

    object_id: int
    name: str
    views: int
    best_threshold: float
    clicks: Sequence[ClickScore]
    worst_case: Case
    """The mask with the lowest IoU, of all clicks in all test views; the first of equals."""

    @property
    def scores(self) -> MaskScores:
        """The mean over the clicks."""
        return mean_scores(click.scores for click in self.clicks)

    @property
    def best(self) -> MaskScores:
        """The mean over the clicks at `best_threshold`."""
        return mean_scores(click.best for click in self.clicks)

    @property
    def worst(self) -> MaskScores:
        """The click with the lowest mIoU."""
        return min((click.scores for click in self.clicks), key=lambda scores: scores.miou)


def score_clicks(
    clicks: Sequence[Click], truth: Truth, predict: Predict, progress: Progress = SILENT
) -> list[ObjectScore]:
    """Ask every click in every test view that shows its object.

    Keeps one byte per click, view and pixel.

    Args:
        truth: that of the test views. Objects that none of them shows well enough are left out.
        progress: gets the stage "scoring views".

    Raises:
        SplatsegError: no test view shows enough of an object.
    """
    answers: list[dict[str, UInt8[np.ndarray, "h w"]]] = [{} for _ in clicks]
    for done, (frame, instance_map) in enumerate(truth.maps.items()):
        progress.update("scoring views", done, len(truth.maps))
        areas = truth.areas(frame)
        asked = [i for i, c in enumerate(clicks) if areas.get(c.object_id, 0) >= MIN_TRUTH_PIXELS]
        predictions = predict(frame, [clicks[i] for i in asked]) if asked else []
        for i, prediction in zip(asked, predictions, strict=True):
            answers[i][frame] = _levels(prediction, instance_map.shape)
    by_object: dict[int, list[_Answer]] = defaultdict(list)
    for click, levels in zip(clicks, answers, strict=True):
        if levels:
            by_object[click.object_id].append((click, levels))
    if not by_object:
        raise SplatsegError(
            f"no test view has ground truth in gt_instances/ with {MIN_TRUTH_PIXELS} pixels of an "
            "object, so there is nothing to score"
        )
    return [
        _score_object(object_id, by_object[object_id], truth) for object_id in sorted(by_object)
    ]


def worst_cases(objects: Iterable[ObjectScore]) -> list[Case]:
    """The worst case of each of the `WORST_CASES` objects where it is worst, worst first."""
    return sorted((score.worst_case for score in objects), key=lambda case: case.iou)[:WORST_CASES]


def _score_object(object_id: int, clicks: Sequence[_Answer], truth: Truth) -> ObjectScore:
    masks = {frame: truth.mask(frame, object_id) for frame in clicks[0][1]}
    curves = [[_iou_curve(levels[f], mask) for f, mask in masks.items()] for _, levels in clicks]
    best = int(np.argmax(np.mean(curves, axis=(0, 1))))
    scores = [
        {f: score_mask(levels[f] > DEFAULT_LEVEL, mask) for f, mask in masks.items()}
        for _, levels in clicks
    ]
    return ObjectScore(
        object_id=object_id,
        name=truth.names[object_id],
        views=len(masks),
        best_threshold=float(THRESHOLDS[best]),
        clicks=[
            ClickScore(
                click=click,
                scores=mean_scores(in_views.values()),
                best=mean_scores(score_mask(levels[f] > best, mask) for f, mask in masks.items()),
            )
            for (click, levels), in_views in zip(clicks, scores, strict=True)
        ],
        worst_case=_worst_case(truth.names[object_id], clicks, scores, masks),
    )


def _worst_case(
    name: str,
    clicks: Sequence[_Answer],
    scores: Sequence[Mapping[str, MaskScores]],
    masks: Mapping[str, Bool[np.ndarray, "h w"]],
) -> Case:
    """Of `scores`, by click and test view, the one with the lowest IoU."""
    pairs = [(i, frame) for i in range(len(clicks)) for frame in masks]
    i, frame = min(pairs, key=lambda pair: scores[pair[0]][pair[1]].miou)
    click, levels = clicks[i]
    return Case(
        click=click,
        name=name,
        frame=frame,
        iou=scores[i][frame].miou,
        predicted=levels[frame] > DEFAULT_LEVEL,
        truth=masks[frame],
    )


def _levels(prediction: Prediction, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """How many of `THRESHOLDS` each pixel reaches: mask k is `levels > k`. NaN reaches none."""
    if prediction is None:
        return np.zeros(shape, dtype=np.uint8)
    if prediction.shape != shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {shape}")
    if prediction.dtype == bool:
        return prediction * np.uint8(len(THRESHOLDS))
    margin = np.nan_to_num(prediction.astype(np.float32), nan=-1)
    return np.searchsorted(MARGINS, margin, side="right").astype(np.uint8)


def _iou_curve(
    levels: UInt8[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, " t"]:
    """IoU at each of `THRESHOLDS`, from the histograms of levels inside and everywhere."""
    n_levels = len(THRESHOLDS) + 1
    inside = np.bincount(levels[truth], minlength=n_levels)
    everywhere = np.bincount(levels.ravel(), minlength=n_levels)
    shared, predicted = (np.cumsum(h[::-1])[::-1][1:] for h in (inside, everywhere))
    return shared / (np.count_nonzero(truth) + predicted - shared)
