"""All masks of a photo: each thing once, at every level, with as few prompts as it takes."""

import dataclasses

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.masks import Segments
from splatseg.masks.generation import generate
from splatseg.masks.generation.candidates import without_duplicates
from splatseg.masks.generation.generate import (
    MASK_LONGEST_SIDE,
    PROMPTS_AT_ONCE,
    GenerationConfig,
    generate_masks,
)
from splatseg.models.onnx_sam import OnnxSegmenter
from splatseg.models.segmenter import EncodedPhoto, Prediction

BACKGROUND = (60, 60, 60)
THINGS = {  # color and place, (top, bottom, left, right), on the tiny SAM's grid of 4 pixels
    "red": ((200, 40, 40), (32, 88, 20, 100)),
    "green": ((40, 200, 60), (100, 172, 140, 228)),
    "blue": ((40, 60, 220), (20, 60, 160, 240)),
    "white": ((240, 240, 240), (120, 160, 40, 80)),
}
PLAIN = GenerationConfig(points_per_side=8, crops=0, boxes=False)
RED = {"red": ((200, 40, 40), (40, 140, 60, 160))}
MATCHED = 0.9


def paint(things, size=(192, 256), background=BACKGROUND):
    """A photo with these things, and where each is."""
    photo = np.full((*size, 3), background, dtype=np.uint8)
    places = {}
    for name, (color, (top, bottom, left, right)) in things.items():
        photo[top:bottom, left:right] = color
        places[name] = np.zeros(size, dtype=bool)
        places[name][top:bottom, left:right] = True
    return photo, places


def best_iou(segments: Segments, place) -> float:
    """Of the mask that fits best."""
    found = [(mask & place).sum() / (mask | place).sum() for mask in segments.masks()]
    return max(found, default=0.0)


class Counting:
    """Counts what a segmenter is asked."""

    def __init__(self, segmenter):
        self._segmenter, self.name = segmenter, segmenter.name
        self.looked_at: list[tuple[int, int]] = []
        self.asked: list[int] = []

    def encode(self, photo):
        self.looked_at.append(photo.shape[:2])
        return self._segmenter.encode(photo)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        self.asked.append(len(points))
        return self._segmenter.predict(photo, points, labels, boxes, levels=levels)


class ByColor:
    """Takes all pixels of a color for a thing, of a red and green for its whole; a logit a pixel.

    Boxes prompt for their centers.
    """

    name = "by color"

    def encode(self, photo):
        return EncodedPhoto(*photo.shape[:2], 1.0, 1.0, photo)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        middles = points[:, 0] if boxes is None else (boxes[:, :2] + boxes[:, 2:]) / 2
        masks = []
        for x, y in middles.astype(int):
            same = photo.content == photo.content[y, x]
            masks.append([same.all(axis=-1), same[..., :2].all(axis=-1), same[..., 0]])
        return _surely(np.array(masks))


class Always:
    """Answers every prompt by the same three masks."""

    name = "always"

    def __init__(self, *masks):
        self._masks = np.stack(masks)

    def encode(self, photo):
        return EncodedPhoto(*photo.shape[:2], 1.0, 1.0, None)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        return _surely(np.repeat(self._masks[None], len(points), axis=0))


def _surely(masks):
    logits = np.where(masks, np.float32(8), np.float32(-8))
    return Prediction(logits, np.ones(logits.shape[:2], dtype=np.float32))


@pytest.fixture(scope="module")
def segmenter(tiny_sam_folder):
    return OnnxSegmenter(tiny_sam_folder)


def test_nested_things_are_kept_at_their_levels(segmenter):
    nested = {
        "whole": ((40, 40, 140), (20, 172, 44, 196)),
        "part": ((40, 90, 140), (48, 144, 72, 168)),
        "subpart": ((40, 110, 140), (72, 120, 96, 144)),
    }
    photo, places = paint(nested, background=(200, 60, 60))
    segments = generate_masks(segmenter, photo, PLAIN)
    nesting = segments.nesting()
    for level, place in places.items():
        at_level = Segments.from_masks(segments.masks()[nesting.at(level)])
        assert best_iou(at_level, place) >= MATCHED, level


def test_each_thing_has_a_mask_of_its_kind_and_the_best_comes_first(segmenter):
    photo, places = paint(THINGS)
    segments, again = (generate_masks(segmenter, photo, PLAIN) for _ in range(2))
    assert (segments.height, segments.width) == photo.shape[:2]
    assert all(best_iou(segments, place) >= MATCHED for place in places.values())
    assert best_iou(segments, ~np.any(list(places.values()), axis=0)) >= MATCHED
    shared, areas = segments.intersections(), segments.areas
    ious = shared / (areas + areas[:, None] - shared)
    assert (ious[~np.eye(len(segments), dtype=bool)] <= PLAIN.max_iou).all()
    assert (np.diff(segments.predicted_iou * segments.stability_score) <= 1e-6).all()
    assert (segments.predicted_iou >= PLAIN.min_predicted_iou).all()
    assert (segments.stability_score >= PLAIN.min_stability).all()
    assert again.rles == segments.rles  # the same photo has the same masks
    np.testing.assert_array_equal(again.predicted_iou, segments.predicted_iou)


@pytest.mark.parametrize("size", [(100, 256), (250, 90), (333, 517), (1100, 800)])
def test_photos_of_any_size(segmenter, size):
    height, width = size
    box = (height // 4, height * 3 // 4, width // 4, width * 3 // 4)
    photo, places = paint({"red": ((200, 40, 40), box)}, size)
    segments = generate_masks(segmenter, photo, GenerationConfig(points_per_side=6, crops=0))
    assert best_iou(segments.resized(*size), places["red"]) > 0.85


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1536, 2048), (768, 1024)),
        ((1025, 10), (1024, 10)),
        ((3, 5000), (1, 1024)),
        ((192, 256), (192, 256)),
        ((1, 1), (1, 1)),
    ],
)
def test_a_blank_photos_mask_is_no_larger_than_a_model_can_see(segmenter, size, expected):
    assert MASK_LONGEST_SIDE == 1024
    config = GenerationConfig(points_per_side=2, crops=2, crop_points_per_side=1)
    segments = generate_masks(segmenter, paint({}, size)[0], config)
    assert (segments.height, segments.width) == expected
    assert size != (192, 256) or (len(segments) == 1 and segments.coverage == 1.0)


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_photo_of_nothing_sure_has_no_mask(adaptive):
    nothing = np.zeros((72, 96), dtype=bool)
    config = GenerationConfig(points_per_side=4, crops=0, adaptive=adaptive)
    segments = generate_masks(Always(*[nothing] * 3), paint({}, nothing.shape)[0], config)
    assert len(segments) == 0 and (segments.height, segments.width) == nothing.shape


TAG = (240, 200, 20)


@pytest.mark.parametrize(
    ("things", "size", "points", "more"),
    [
        (  # 2.4 logits wide; in a crop, 4
            {"red": ((200, 40, 40), (20, 60, 20, 100)), "tag": (TAG, (116, 124, 185, 193))},
            (160, 213),
            8,
            {"points_per_side": 4, "crops": 2, "crop_points_per_side": 8},
        ),
        (RED | {"tag": (TAG, (80, 100, 100, 120))}, (192, 256), 4, {"boxes": True}),
    ],
)
def test_crops_and_boxes_find_what_points_do_not(segmenter, things, size, points, more):
    photo, places = paint(things, size)
    plain = dataclasses.replace(PLAIN, points_per_side=points)
    assert best_iou(generate_masks(segmenter, photo, plain), places["tag"]) < 0.5
    found = generate_masks(segmenter, photo, dataclasses.replace(plain, **more))
    assert best_iou(found, places["tag"]) >= 0.8 and best_iou(found, places["red"]) >= MATCHED


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ((20, 60, 10, 86), GenerationConfig(points_per_side=4, crops=3, crop_points_per_side=4)),
        ((33, 37, 45, 50), GenerationConfig(1, 2, 12, boxes=False)),
    ],
)
def test_what_crops_cut_or_share_is_found_once(place, config):
    photo, places = paint({"thing": (TAG, place)}, size=(72, 96))
    segments = generate_masks(ByColor(), photo, config)
    assert config.boxes is False or len(segments) == 2
    assert [bool((mask == places["thing"]).all()) for mask in segments.masks()].count(True) == 1


def test_the_encoder_runs_once_for_each_window_and_prompts_are_batched(segmenter):
    counting = Counting(segmenter)
    config = GenerationConfig(
        points_per_side=16, crops=2, crop_points_per_side=4, boxes=False, adaptive=False
    )
    generate_masks(counting, paint(THINGS)[0], config)
    assert len(counting.looked_at) == 1 + 4 and counting.looked_at[0] == (192, 256)
    assert sum(counting.asked) == config.prompts == 16**2 + 4 * 4**2
    assert max(counting.asked) == PROMPTS_AT_ONCE
    assert len(counting.asked) == 4 * 64 // PROMPTS_AT_ONCE + 4 * 4


@pytest.mark.parametrize(("crops", "share"), [(0, 0.6), (2, 0.4)])
def test_adaptive_asks_less_and_finds_the_same(segmenter, crops, share):
    photo, places = paint(THINGS)
    counting = Counting(segmenter)
    config = GenerationConfig(crops=crops, boxes=False)
    found = generate_masks(counting, photo, config)
    assert sum(counting.asked) < share * config.prompts
    full = dataclasses.replace(config, adaptive=False)
    expected = places.values() if crops else generate_masks(segmenter, photo, full).masks()
    assert all(best_iou(found, mask) >= MATCHED for mask in expected)


def test_a_dense_grid_keeps_few_candidates_in_memory(segmenter, monkeypatch):
    photo, places = paint(THINGS)
    everything = generate_masks(segmenter, photo, PLAIN)
    compared = []

    def counting(masks, score, max_iou):
        compared.append(len(masks))
        return without_duplicates(masks, score, max_iou)

    monkeypatch.setattr(generate, "MAX_CANDIDATES", 20)
    monkeypatch.setattr(generate, "POINTS_IN_PORTION", 4)
    monkeypatch.setattr(generate, "without_duplicates", counting)
    few = generate_masks(segmenter, photo, dataclasses.replace(PLAIN, adaptive=False))
    assert max(compared) <= 20 + 4 * 3 and len(few) == len(everything)
    assert all(best_iou(few, place) >= MATCHED for place in places.values())


def test_holes_and_specks_are_mended_and_slivers_dropped():
    photo, places = paint(RED)
    spoilt, sliver = places["red"].copy(), np.zeros((192, 256), dtype=bool)
    spoilt[70:72, 90:92], spoilt[180:182, 240:242], sliver[:, :2] = False, True, True
    segments = generate_masks(Always(sliver, spoilt, sliver), photo, PLAIN)
    np.testing.assert_array_equal(segments.masks(), places["red"][None])


def test_what_the_model_doubts_is_dropped(segmenter):
    photo, places = paint(THINGS)
    photo[100:172, 140:228, 1] = np.linspace(160, 200, 88)  # a green that fades
    shades = []
    for least in (0.6, 0.999):
        config = dataclasses.replace(PLAIN, min_predicted_iou=least)
        masks = generate_masks(segmenter, photo, config).masks()
        shades.append([mask for mask in masks if not (mask & ~places["green"]).any()])
    assert len(shades[0]) > len(shades[1]) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"crop_points_per_side": 0}, "crop_points_per_side is 0"),
        ({"crops": -1}, "crops is -1"),
        ({"min_predicted_iou": 1.5}, "min_predicted_iou is 1.5; expected a fraction"),
        ({"min_stability": -0.1}, "min_stability is -0.1"),
        ({"max_iou": float("nan")}, "max_iou is nan"),
    ],
)
def test_settings_that_make_no_sense(settings, reason):
    with pytest.raises(SplatsegError, match=reason):
        GenerationConfig(**settings)
