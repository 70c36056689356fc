"""From a text prompt to masks in one image (section 4.2.2 of arXiv:2404.12784).

A detector finds boxes for the words, a segmenter of the SAM family the mask in a box. Boxes and
masks made elsewhere can take the place of either.
"""

from splatseg.text.box_file import BoxFile
from splatseg.text.box_masks import (
    box_to_mask,
    boxes_to_masks,
    detection_masks,
    plain_box,
)
from splatseg.text.debug import debug_picture
from splatseg.text.detection import Box, Detection, Detector, best_reference, plain
from splatseg.text.detectors import DEFAULT_DETECTOR, load_detector
from splatseg.text.mask_folder import MaskFolder

__all__ = [
    "DEFAULT_DETECTOR",
    "Box",
    "BoxFile",
    "Detection",
    "Detector",
    "MaskFolder",
    "best_reference",
    "box_to_mask",
    "boxes_to_masks",
    "debug_picture",
    "detection_masks",
    "load_detector",
    "plain",
    "plain_box",
]
