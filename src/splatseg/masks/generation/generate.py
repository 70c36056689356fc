"""Every mask of a photo, without a prompt from anyone: SAM's automatic generator, our way.

The segmenter is asked on a grid of points, in the whole photo and in crops; what it is sure of is
kept, once: the rest of the work is choosing. Each kept mask is then asked for again by its box,
which gives a whole where points gave parts. Sources: Segment Anything (arXiv:2304.02643),
section 5 and appendix B.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8

from splatseg.masks.generation.candidates import (
    Candidates,
    concatenated,
    good_candidates,
    no_candidates,
    without_duplicates,
)
from splatseg.masks.generation.cleaning import is_sliver, tidied
from splatseg.masks.generation.config import GenerationConfig
from splatseg.masks.generation.windows import crops, grid_rounds
from splatseg.masks.segments import Segments
from splatseg.models.logit_mapping import LogitMapping, Window
from splatseg.models.segmenter import EncodedPhoto, Segmenter

# Outlines are no finer than the model's; at its side, a mask takes a few hundred bytes.
MASK_LONGEST_SIDE = 1024
PROMPTS_AT_ONCE = 32  # of their logits, 19 MB, what is not good enough is dropped at once
POINTS_IN_PORTION = 256
MAX_CANDIDATES = 1000  # of one window, 0.13 GB of logits; beyond, the duplicates go at once
MAX_COMPARED_PIXELS = 40_000  # of masks from different windows: enough to tell whether they agree
SURE_PREDICTED_IOU, SURE_STABILITY = 0.88, 0.95  # SAM's own: such a mask needs no second prompt
SURE_TIMES = 4  # prompts that must agree on a region before it is skipped: 2 lost 8 % of the masks


def generate_masks(
    segmenter: Segmenter, photo: UInt8[np.ndarray, "h w 3"], config: GenerationConfig
) -> Segments:
    """The masks of a photo, best first, in the photo's shape but at most 1024 pixels long."""
    height, width = photo.shape[:2]
    shrink = min(1.0, MASK_LONGEST_SIDE / max(height, width))
    shape = max(1, round(height * shrink)), max(1, round(width * shrink))
    sure = np.zeros(shape, dtype=np.int16)
    found = [
        _in_window(segmenter, photo, window, grid, config, sure)
        for window, grid in _windows(width, height, config)
    ]
    masks, predicted_iou, stability = (np.concatenate(parts) for parts in zip(*found, strict=True))
    step = max(1, round((masks[0].size / MAX_COMPARED_PIXELS) ** 0.5)) if len(masks) else 1
    kept = without_duplicates(masks[:, ::step, ::step], predicted_iou * stability, config.max_iou)
    return Segments.from_masks(
        masks[kept], predicted_iou[kept].astype(np.float64), stability[kept].astype(np.float64)
    )


class _Found(NamedTuple):
    """Masks on the result's grid, with their quality."""

    masks: Bool[np.ndarray, "n h w"]
    predicted_iou: Float32[np.ndarray, " n"]
    stability: Float32[np.ndarray, " n"]


def _windows(width: int, height: int, config: GenerationConfig) -> Iterator[tuple[Window, int]]:
    """Each window and the points along its side."""
    yield Window(0, 0, width, height), config.points_per_side
    if config.crops > 1:
        for window in crops(width, height, config.crops):
            yield window, config.crop_points_per_side


def _in_window(
    segmenter: Segmenter,
    photo: UInt8[np.ndarray, "h w 3"],
    window: Window,
    grid: int,
    config: GenerationConfig,
    sure: Int16[np.ndarray, "rows columns"],
) -> _Found:
    """What the segmenter finds in one window; `sure` is counted up where it is sure."""
    cut = photo[window.y : window.y + window.height, window.x : window.x + window.width]
    encoded = segmenter.encode(np.ascontiguousarray(cut))
    mapping = LogitMapping(window, encoded, photo.shape[:2], sure.shape)
    candidates = [no_candidates(mapping.logits_shape)]
    asked = 0
    for points in _portions(grid_rounds(window.width, window.height, grid)):
        if config.adaptive:
            points = points[mapping.looked_up(sure, points) < SURE_TIMES]
        new = _ask(segmenter, encoded, config, points[:, None], None, asked)
        asked += len(points)
        if config.adaptive and new:
            for mask in _finest_sure(concatenated(new)):
                mapping.count(sure, mask)
        candidates += new
        if sum(map(len, candidates)) > MAX_CANDIDATES:
            candidates = [_chosen(candidates, mapping, config)]
    kept = _chosen(candidates, mapping, config)
    if config.boxes:
        boxes = mapping.boxes(kept.masks)
        no_points = np.zeros((len(boxes), 0, 2), dtype=np.float32)
        again = _ask(segmenter, encoded, config, no_points, boxes, asked)
        kept = _chosen([kept, *again], mapping, config)
    masks = mapping.masks(kept.logits)
    for index, mask in enumerate(masks):
        masks[index] = tidied(mask)
    whole = np.array([not is_sliver(mask) for mask in masks], dtype=bool)
    return _Found(masks[whole], kept.predicted_iou[whole], kept.stability[whole])


def _portions(
    rounds: Iterable[Float32[np.ndarray, "n 2"]],
) -> Iterator[Float32[np.ndarray, "p 2"]]:
    """The rounds, the large ones in pieces: candidates are counted after each."""
    for points in rounds:
        yield from np.split(points, range(POINTS_IN_PORTION, len(points), POINTS_IN_PORTION))


def _ask(
    segmenter: Segmenter,
    encoded: EncodedPhoto,
    config: GenerationConfig,
    points: Float32[np.ndarray, "n p 2"],
    boxes: Float32[np.ndarray, "n 4"] | None,
    first_prompt: int,
) -> list[Candidates]:
    """What is good enough of the answers to n prompts, a few prompts at a time."""
    parts = []
    for start in range(0, len(points), PROMPTS_AT_ONCE):
        some = np.s_[start : start + PROMPTS_AT_ONCE]
        inside = np.ones(points[some].shape[:2], dtype=np.int64)
        prediction = segmenter.predict(
            encoded, points[some], inside, None if boxes is None else boxes[some]
        )
        parts.append(
            good_candidates(
                *(prediction, first_prompt + start),
                *(config.min_predicted_iou, config.min_stability),
            )
        )
    return parts


def _chosen(parts: list[Candidates], mapping: LogitMapping, config: GenerationConfig) -> Candidates:
    """The best of the candidates that agree, without those that the window's border cuts."""
    candidates = concatenated(parts)
    candidates = candidates[~mapping.is_cut(candidates.masks)]
    return candidates[without_duplicates(candidates.masks, candidates.score, config.max_iou)]


def _finest_sure(candidates: Candidates) -> Bool[np.ndarray, "n rows columns"]:
    """For each prompt the smallest mask that SAM itself would be sure of, if there is one."""
    sure = (candidates.predicted_iou >= SURE_PREDICTED_IOU) & (
        candidates.stability >= SURE_STABILITY
    )
    candidates = candidates[sure]
    masks = candidates.masks
    by_size = np.argsort(masks.sum(axis=(1, 2)), kind="stable")
    _, first = np.unique(candidates.prompt[by_size], return_index=True)
    return masks[by_size[first]]
