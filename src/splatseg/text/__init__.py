"""From a text prompt to masks in one image (section 4.2.2 of arXiv:2404.12784).

A detector finds boxes for the words, a segmenter of the SAM family the mask in a box. Boxes and
masks made elsewhere can take the place of either.
"""

from splatseg.models.detector import Detection, Detector, plain
from splatseg.models.detectors import DEFAULT_DETECTOR, load_detector
from splatseg.text.box_file import BoxFile
from splatseg.text.box_masks import (
    box_to_mask,
    boxes_to_masks,
    detection_masks,
    plain_box,
)
from splatseg.text.grounding import (
    BoxSource,
    DetectorSource,
    Grounder,
    Grounding,
    GroundingVote,
    agreeing,
    ground_in_views,
)
from splatseg.text.mask_folder import MaskFolder
from splatseg.viz.grounding import debug_picture

__all__ = [
    "DEFAULT_DETECTOR",
    "BoxFile",
    "BoxSource",
    "Detection",
    "Detector",
    "DetectorSource",
    "Grounder",
    "Grounding",
    "GroundingVote",
    "MaskFolder",
    "agreeing",
    "box_to_mask",
    "boxes_to_masks",
    "debug_picture",
    "detection_masks",
    "ground_in_views",
    "load_detector",
    "plain",
    "plain_box",
]
