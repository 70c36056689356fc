"""From boxes to masks: a segmenter of the SAM family asked by boxes, or the boxes themselves."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from splatseg.masks.generation.cleaning import tidied
from splatseg.models.detector import Box, Detection
from splatseg.models.logit_mapping import on_image
from splatseg.models.segmenter import Segmenter


def detection_masks(
    detections: Sequence[Detection], image: UInt8[np.ndarray, "h w 3"], segmenter: Segmenter | None
) -> Bool[np.ndarray, "n h w"]:
    """The mask of each: its own where the detector drew one, else the segmenter's for its box.

    Without a segmenter the box is the mask, which holds much that is not the thing.
    """
    masks = np.zeros((len(detections), *image.shape[:2]), dtype=bool)
    boxes = [found.box for found in detections if found.mask is None]
    if segmenter is None:
        drawn = iter([plain_box(box, *image.shape[:2]) for box in boxes])
    else:
        drawn = iter(boxes_to_masks(segmenter, image, boxes))
    for mask, found in zip(masks, detections, strict=True):
        mask[:] = next(drawn) if found.mask is None else found.mask
    return masks


def box_to_mask(
    segmenter: Segmenter, image: UInt8[np.ndarray, "h w 3"], box: Box
) -> Bool[np.ndarray, "h w"]:
    """What the segmenter takes for the thing in a box: tidied, and in rare cases nothing."""
    return boxes_to_masks(segmenter, image, [box])[0]


def boxes_to_masks(
    segmenter: Segmenter, image: UInt8[np.ndarray, "h w 3"], boxes: Sequence[Box]
) -> Bool[np.ndarray, "n h w"]:
    """The mask for each box; the image is encoded once, and not at all without boxes."""
    if not boxes:
        return np.zeros((0, *image.shape[:2]), dtype=bool)
    encoded = segmenter.encode(image)
    no_points = np.zeros((len(boxes), 0, 2), dtype=np.float32)
    no_labels = np.zeros((len(boxes), 0), dtype=np.int64)
    corners = np.array(boxes, dtype=np.float32)
    answer = segmenter.predict(encoded, no_points, no_labels, corners, levels=False)
    best = answer.predicted_iou.argmax(axis=1)  # some models give several masks, asked or not
    masks = on_image(encoded, answer.logits[np.arange(len(boxes)), best])
    return np.stack([tidied(mask) for mask in masks])


def plain_box(box: Box, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels whose centers lie in a box."""
    x0, y0, x1, y1 = box
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    return ((y >= y0) & (y < y1))[:, None] & (x >= x0) & (x < x1)
