"""Flags for what finds prompts, and what they make."""

from dataclasses import dataclass
from pathlib import Path

import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation.views import photo_sizes
from splatseg.models.detectors import DEFAULT_DETECTOR, load_detector
from splatseg.models.segmenters import load_segmenter
from splatseg.scene import Scene
from splatseg.text import BoxFile, BoxSource, DetectorSource, Grounder


@dataclass(frozen=True)
class GroundingFlags:
    """What finds the object that words mean."""

    detector: str | None = None
    """Model that finds what words mean: a folder, or an id of the Hugging Face hub (Grounding DINO,
    OWLv2, SAM 3)."""
    boxes: Path | None = None
    """JSON file with boxes that another program found: {"FRAME": [{"prompt": "red mug",
    "box": [X0, Y0, X1, Y1], "score": 0.9}]}; no detector is asked then."""
    min_score: float | None = None
    """A detection's least score; by default the detector's usual one."""
    sam: str | None = None
    """Model that draws the mask in a box: a folder or an id, as --model of splatseg masks; by
    default the box itself is asked for the thing that fills it best."""

    @property
    def is_given(self) -> bool:
        """Whether any of them is."""
        return self != GroundingFlags()

    def finder(self, scene: Scene, device: torch.device) -> BoxSource:
        """A file of boxes, else the detector: the default one if none is named."""
        if self.boxes is not None and (self.detector or self.min_score is not None):
            raise SplatsegError(
                "--boxes are what a detector found, so --detector and --min-score do "
                "not go with it",
                remedy="leave them or --boxes away",
            )
        if self.boxes is not None:
            return BoxFile(self.boxes, photo_sizes(scene.frames))
        model = self.detector or DEFAULT_DETECTOR
        return DetectorSource(load_detector(model, device=device, min_score=self.min_score))

    def grounder(self, finder: BoxSource, device: torch.device) -> Grounder:
        """The finder with the segmenter, if one is named."""
        if self.sam is None:
            return Grounder(finder)
        return Grounder(finder, load_segmenter(self.sam, device=device))
