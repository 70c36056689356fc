"""Where to click: the queries of `click`, `click3` and `random-click`."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from splatseg.errors import SplatsegError
from splatseg.evaluation.truth import MIN_TRUTH_PIXELS, Truth
from splatseg.files import read_json

CLICKS_PER_OBJECT = 3  # of click3
CLICKS_PER_OBJECT_RANDOM = 5

Sizes = Mapping[str, tuple[int, int]]
"""Photo sizes by frame."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """A click on an object in a training view."""

    object_id: int
    frame: str
    x: float
    y: float


def click_queries(truth: Truth, photo_sizes: Sizes) -> list[Query]:
    """The clicks of `click`; `truth` and `photo_sizes` are those of the training views."""
    if not truth.maps:
        raise SplatsegError(
            "no training view has ground truth in gt_instances/, so the protocol click has "
            "nothing to click on",
            remedy="use `protocol` click3, whose clicks are in prompts.json",
        )
    largest: dict[int, tuple[int, str]] = {}
    for frame in truth.maps:
        for object_id, area in truth.areas(frame).items():
            if area > largest.get(object_id, (0, ""))[0]:
                largest[object_id] = (area, frame)
    _warn_of_others(truth.names, largest, "in no training view")
    return [
        _query(truth, object_id, frame, deepest_pixel(truth.mask(frame, object_id)), photo_sizes)
        for object_id, (_, frame) in sorted(largest.items())
    ]


def deepest_pixel(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """Row and column of the pixel farthest from the outside; the first in reading order."""
    padded = np.pad(mask, 1)  # with the outside, beyond the image border
    depth = np.asarray(ndimage.distance_transform_edt(padded))
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return int(row) - 1, int(column) - 1


def random_queries(truth: Truth, photo_sizes: Sizes) -> list[Query]:
    """The clicks of `random-click`; `truth` and `photo_sizes` are those of the training views."""
    views: dict[int, list[str]] = defaultdict(list)
    for frame in sorted(truth.maps):
        for object_id, area in truth.areas(frame).items():
            if area >= MIN_TRUTH_PIXELS:
                views[object_id].append(frame)
    if not views:
        raise SplatsegError(
            f"no training view has ground truth in gt_instances/ with {MIN_TRUTH_PIXELS} pixels of "
            "an object, so the protocol random-click has nothing to click on"
        )
    _warn_of_others(truth.names, views, f"in no training view with {MIN_TRUTH_PIXELS} pixels")
    queries = []
    for object_id, frames in sorted(views.items()):
        rng = np.random.default_rng(object_id)
        for _ in range(CLICKS_PER_OBJECT_RANDOM):
            frame = frames[rng.integers(len(frames))]
            pixels = np.argwhere(truth.mask(frame, object_id))
            row, column = pixels[rng.integers(len(pixels))].tolist()
            queries.append(_query(truth, object_id, frame, (row, column), photo_sizes))
    return queries


def click3_queries(capture_root: Path, names: Mapping[int, str], photo_sizes: Sizes) -> list[Query]:
    """The clicks of `click3`, from `prompts.json`; `photo_sizes` are those of the training views.

    The file lists [{"id", "clicks": [{"view", "x", "y"}]}]; x and y count whole pixels from 0.
    """
    path = capture_root / "prompts.json"
    clicks = _parse_prompts(path, read_json(path, "the clicks of a capture with ground truth"))
    for object_id, name in names.items():
        n_clicks = sum(click.object_id == object_id for click in clicks)
        if n_clicks != CLICKS_PER_OBJECT:
            raise SplatsegError(
                f"{path} has {n_clicks} clicks for object {object_id} ({name})",
                expected=f"{CLICKS_PER_OBJECT}",
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


def _query(
    truth: Truth, object_id: int, frame: str, pixel: tuple[int, int], photo_sizes: Sizes
) -> Query:
    """A click on the center of a truth map's pixel (row, column), in pixels of the photo."""
    row, column = pixel
    (map_height, map_width), (width, height) = truth.maps[frame].shape, photo_sizes[frame]
    x, y = (column + 0.5) * width / map_width, (row + 0.5) * height / map_height
    return Query(object_id=object_id, frame=frame, x=x, y=y)


def _warn_of_others(names: Mapping[int, str], asked: Iterable[int], why: str) -> None:
    others = [name for object_id, name in names.items() if object_id not in set(asked)]
    if others:
        log.warning("%s, so not clicked on and not scored: %s", why, ", ".join(others))


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
            f"{path} does not list clicks",
            expected='[{"id": 1, "clicks": [{"view": "frame", "x": 0, "y": 0}]}]',
        ) from error
