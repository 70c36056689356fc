"""Flags for what finds the object that words mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splatseg.workflows.grounding import GroundingOptions


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
    default the box itself selects the object that fills it best."""

    @property
    def options(self) -> "GroundingOptions":
        """As workflows take them."""
        from splatseg.workflows.grounding import GroundingOptions

        return GroundingOptions(self.detector, self.boxes, self.min_score, self.sam)
