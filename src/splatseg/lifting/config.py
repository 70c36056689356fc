"""How features are lifted."""

from dataclasses import dataclass

STAGES = ("lifting masks", "finding objects", "matching masks", "training features")


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
