"""How features are lifted."""

from dataclasses import dataclass

from splatseg.errors import check_setting

STAGES = ("lifting masks", "finding objects", "matching masks", "training features")
"""The stages of lifting, as progress has them."""


@dataclass(frozen=True)
class LiftConfig:
    """Features from the consensus of all views, once the geometry is done (ours)."""

    steps: int = 0
    """Steps of training the features; 0 switches lifting off."""
    max_masks: int = 50
    """Masks of a view that take part: those of the best predicted IoU times stability."""
    max_views: int = 128
    """Views that take part, spread over the capture: memory grows with the square of all masks."""
    samples: int = 8192
    """Pixels of one step."""
    temperature: float = 0.4
    """Of the softmax over the objects' prototypes."""
    learning_rate: float = 0.02
    """Adam's at the first step; it falls to 0."""

    def __post_init__(self) -> None:
        check_setting("lift.steps", self.steps, self.steps >= 0, "0 or more")
        check_setting("lift.max_masks", self.max_masks, self.max_masks >= 1, "at least 1")
        check_setting("lift.max_views", self.max_views, self.max_views >= 1, "at least 1")
        check_setting("lift.samples", self.samples, self.samples >= 1, "at least 1")
        check_setting("lift.temperature", self.temperature, self.temperature > 0, "above 0")
