"""Benchmark protocols: what is asked of a scene, and how the answers are scored.

A protocol is known by its name and version, e.g. `click/1`; one that changes gets a new version,
so that numbers under one name compare. Protocols know masks and photos, not renderers: whoever
answers passes a function. What is asked uses training views, what is scored uses test views, and
the capture decides which are which.

`nvs/1`       PSNR and SSIM of the rendered test photos, colours clipped to [0, 1] first; means
              over photos.
`click/1`     One click per object: the pixel deepest inside its true mask (Euclidean distance to
              the outside, where the image border is outside; the first such pixel in reading
              order), in the training view where the mask has most pixels (the first such view).
`click3/1`    The three clicks per object that `prompts.json` lists; the mean over them, and the
              one with the lowest mIoU as the worst.
`clusters/1`  No prompt: one label map per test view. Labels and objects are matched one to one,
              with the largest sum of IoUs over all test views at once; an object without a label
              scores 0. The mean over the objects that a test view shows.

Both click protocols ask for the object's mask in every test view whose truth shows at least
`MIN_TRUTH_PIXELS` of it: cosine similarity to the click's query, at the truth's size, -1 where
alpha < 0.5. The report's `query_radius` says which pixels around the click make up the query. A
similarity of `THRESHOLD` or more is inside. Each mask is scored by IoU (`miou`), Boundary IoU at
2 % of the image diagonal (`mbiou`) and at 2 pixels (`biou2`); no answer scores 0. Means are over
views, then over an object's clicks, then over objects. `best` is a diagnosis and no result: the
same at the threshold of `THRESHOLDS` that suits the object best, judged by its mIoU against the
truth (the lowest such threshold).

Pixel coordinates of a click are those of the photo as shipped; (0.5, 0.5) is a pixel's centre.
Sizes are (width, height).
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from scipy import ndimage
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import (
    Match,
    boundary_iou,
    boundary_width,
    hungarian_iou,
    iou,
    psnr,
)
from splatseg.evaluation.truth import Truth, read_json
from splatseg.losses.photometric import ssim

THRESHOLD = 0.7  # Eq. 6 of arXiv:2404.12784
THRESHOLDS = np.arange(30, 100) / 100  # of `best`
THIN_BOUNDARY = 2  # pixels: narrow enough to see an edge where `mbiou` sees the whole object
MIN_TRUTH_PIXELS = 50  # fewer, and the true outline itself is a guess
CLICKS_PER_OBJECT = 3  # of click3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """A click on an object in a training view."""

    object_id: int
    frame: str
    x: float
    y: float


Prediction = Float[np.ndarray, "h w"] | Bool[np.ndarray, "h w"] | None
"""Cosine similarities, or a mask; None where there is no answer."""

Predict = Callable[[str, Sequence[Query]], Iterable[Prediction]]
"""One test frame and some queries to one prediction each: a frame is rendered once for all."""

_Click = tuple[Query, Mapping[str, UInt8[np.ndarray, "h w"]]]
"""A query and, by test frame, how many of `THRESHOLDS` each pixel's similarity reaches."""


@dataclass(frozen=True)
class MaskScores:
    """How well masks agree with the truth; fractions in [0, 1]."""

    miou: float
    mbiou: float
    biou2: float


@dataclass(frozen=True)
class ClickScore:
    """One click, its scores averaged over the test views."""

    query: Query
    scores: MaskScores
    best: MaskScores


@dataclass(frozen=True)
class ObjectScore:
    """One object over its clicks; `views` test views show it."""

    object_id: int
    name: str
    views: int
    best_threshold: float
    clicks: Sequence[ClickScore]

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


@dataclass(frozen=True)
class FrameScore:
    """One rendered photo."""

    frame: str
    psnr: float
    ssim: float


def click_queries(truth: Truth, photo_sizes: Mapping[str, tuple[int, int]]) -> list[Query]:
    """The clicks of `click`; `truth` and `photo_sizes` are those of the training views."""
    if not truth.maps:
        raise SplatsegError(
            "no training view has ground truth in gt_instances/, so the protocol click has nothing "
            "to click on; use --protocol click3, whose clicks are in prompts.json"
        )
    largest: dict[int, tuple[int, str]] = {}
    for frame, instance_map in truth.maps.items():
        for object_id, area in _areas(instance_map).items():
            if area > largest.get(object_id, (0, ""))[0]:
                largest[object_id] = (area, frame)
    unseen = [name for object_id, name in truth.names.items() if object_id not in largest]
    if unseen:
        log.warning("in no training view, so not clicked on and not scored: %s", ", ".join(unseen))
    queries = []
    for object_id, (_, frame) in sorted(largest.items()):
        mask = truth.maps[frame] == object_id
        row, column = deepest_pixel(mask)
        width, height = photo_sizes[frame]
        x, y = (column + 0.5) * width / mask.shape[1], (row + 0.5) * height / mask.shape[0]
        queries.append(Query(object_id=object_id, frame=frame, x=x, y=y))
    return queries


def deepest_pixel(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """Row and column of the pixel farthest from the outside; the first in reading order."""
    padded = np.pad(mask, 1)  # with the outside, beyond the image border
    depth = np.asarray(ndimage.distance_transform_edt(padded))
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return int(row) - 1, int(column) - 1


def click3_queries(
    capture_root: Path, names: Mapping[int, str], photo_sizes: Mapping[str, tuple[int, int]]
) -> list[Query]:
    """The clicks of `click3`, from `prompts.json`; `photo_sizes` are those of the training views.

    The file lists [{"id", "clicks": [{"view", "x", "y"}]}]; x and y count whole pixels from 0.
    """
    path = capture_root / "prompts.json"
    clicks = _parse_prompts(path, read_json(path))
    for object_id, name in names.items():
        n_clicks = sum(click.object_id == object_id for click in clicks)
        if n_clicks != CLICKS_PER_OBJECT:
            raise SplatsegError(
                f"{path} has {n_clicks} clicks for object {object_id} ({name}); "
                f"expected {CLICKS_PER_OBJECT}"
            )
    for click in clicks:
        if click.object_id not in names:
            raise SplatsegError(
                f"{path} clicks on object {click.object_id}, which objects.json does not name"
            )
        if click.frame not in photo_sizes:
            raise SplatsegError(
                f"{path} clicks in {click.frame}, which is not a training view of the capture"
            )
        width, height = photo_sizes[click.frame]
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise SplatsegError(
                f"{path} clicks at {click.x:g},{click.y:g} in {click.frame}, whose photo is "
                f"{width}x{height}"
            )
    return clicks


def score_clicks(queries: Sequence[Query], truth: Truth, predict: Predict) -> list[ObjectScore]:
    """Ask every query in every test view that shows its object; `truth` is that of the test views.

    Objects that no test view shows well enough are left out. Keeps one byte per query, view and
    pixel.
    """
    answers: list[dict[str, UInt8[np.ndarray, "h w"]]] = [{} for _ in queries]
    for frame, instance_map in truth.maps.items():
        areas = _areas(instance_map)
        asked = [i for i, q in enumerate(queries) if areas.get(q.object_id, 0) >= MIN_TRUTH_PIXELS]
        predictions = predict(frame, [queries[i] for i in asked]) if asked else []
        for i, prediction in zip(asked, predictions, strict=True):
            answers[i][frame] = _levels(prediction, instance_map.shape)
    clicks: dict[int, list[_Click]] = defaultdict(list)
    for query, levels in zip(queries, answers, strict=True):
        if levels:
            clicks[query.object_id].append((query, levels))
    if not clicks:
        raise SplatsegError(
            f"no test view has ground truth in gt_instances/ with {MIN_TRUTH_PIXELS} pixels of an "
            "object, so there is nothing to score"
        )
    return [_score_object(object_id, clicks[object_id], truth) for object_id in sorted(clicks)]


def score_clusters(
    truth: Truth, predict: Callable[[str], Integer[np.ndarray, "h w"]]
) -> dict[int, Match]:
    """Object id to the label that stands for it; `truth` is that of the test views.

    `predict` gives a test frame's label map at the truth's size, 0 for no cluster.
    """
    if not truth.maps:
        raise SplatsegError("no test view has ground truth in gt_instances/: nothing to score")
    predicted = np.concatenate([predict(frame).ravel() for frame in truth.maps])
    return hungarian_iou(predicted, np.concatenate([m.ravel() for m in truth.maps.values()]))


def score_nvs(
    frames: Iterable[tuple[str, Float[Tensor, "h w 3"], Float[Tensor, "h w 3"]]],
) -> list[FrameScore]:
    """Score (frame, rendered photo, photo) of the test views."""
    scores = []
    for frame, rendered, photo in frames:
        image = rendered.clamp(0, 1)
        scores.append(FrameScore(frame, psnr(image, photo), ssim(image, photo).item()))
    if not scores:
        raise SplatsegError("the capture holds out no photo for testing: nothing to score")
    return scores


def mean_scores(scores: Iterable[MaskScores]) -> MaskScores:
    """Each figure's mean."""
    return MaskScores(*np.mean([astuple(s) for s in scores], axis=0).tolist())


def _score_object(object_id: int, clicks: Sequence[_Click], truth: Truth) -> ObjectScore:
    masks = {frame: truth.maps[frame] == object_id for frame in clicks[0][1]}
    curves = [[_iou_curve(levels[f], mask) for f, mask in masks.items()] for _, levels in clicks]
    best = int(np.argmax(np.mean(curves, axis=(0, 1))))
    default = int(np.searchsorted(THRESHOLDS, THRESHOLD))
    return ObjectScore(
        object_id=object_id,
        name=truth.names[object_id],
        views=len(masks),
        best_threshold=float(THRESHOLDS[best]),
        clicks=[
            ClickScore(
                query=query,
                scores=mean_scores(_score_mask(levels[f] > default, masks[f]) for f in masks),
                best=mean_scores(_score_mask(levels[f] > best, masks[f]) for f in masks),
            )
            for query, levels in clicks
        ],
    )


def _score_mask(predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> MaskScores:
    return MaskScores(
        miou=iou(predicted, truth),
        mbiou=boundary_iou(predicted, truth, boundary_width(*truth.shape)),
        biou2=boundary_iou(predicted, truth, THIN_BOUNDARY),
    )


def _levels(prediction: Prediction, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """How many of `THRESHOLDS` each pixel reaches: mask k is `levels > k`. NaN reaches none."""
    if prediction is None:
        return np.zeros(shape, dtype=np.uint8)
    if prediction.shape != shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth {shape}")
    # In float32, where a cosine of 0.7 reaches 0.7.
    similarity = np.nan_to_num(prediction.astype(np.float32), nan=-1)
    levels = np.searchsorted(THRESHOLDS.astype(np.float32), similarity, side="right")
    return levels.astype(np.uint8)


def _iou_curve(
    levels: UInt8[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, " t"]:
    """IoU at each of `THRESHOLDS`, from the histograms of levels inside and everywhere."""
    n_levels = len(THRESHOLDS) + 1
    inside = np.bincount(levels[truth], minlength=n_levels)
    everywhere = np.bincount(levels.ravel(), minlength=n_levels)
    shared, predicted = (np.cumsum(h[::-1])[::-1][1:] for h in (inside, everywhere))
    return shared / (np.count_nonzero(truth) + predicted - shared)


def _areas(instance_map: Integer[np.ndarray, "h w"]) -> dict[int, int]:
    """Pixels by object id, without the background."""
    ids, areas = np.unique(instance_map[instance_map > 0], return_counts=True)
    return dict(zip(ids.tolist(), areas.tolist(), strict=True))


def _parse_prompts(path: Path, data: Any) -> list[Query]:
    try:
        return [
            Query(
                object_id=int(prompt["id"]),
                frame=str(click["view"]),
                x=int(click["x"]) + 0.5,
                y=int(click["y"]) + 0.5,
            )
            for prompt in data
            for click in prompt["clicks"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SplatsegError(
            f'{path} does not list clicks; expected [{{"id": 1, "clicks": [{{"view": "frame", '
            '"x": 0, "y": 0}]}]'
        ) from error
