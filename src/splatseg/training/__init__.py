"""Training: presets, schedule, density control, the training step, checkpoints."""

from splatseg.training.config import (
    PRESETS,
    AppearanceConfig,
    ContrastiveConfig,
    DensityConfig,
    Preset,
    SpatialConfig,
    TrainConfig,
)
from splatseg.training.contrast import contrast_features
from splatseg.training.trainer import Progress, lift_features, train

__all__ = [
    "PRESETS",
    "AppearanceConfig",
    "ContrastiveConfig",
    "DensityConfig",
    "Preset",
    "Progress",
    "SpatialConfig",
    "TrainConfig",
    "contrast_features",
    "lift_features",
    "train",
]
