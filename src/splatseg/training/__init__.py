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
from splatseg.training.trainer import Progress, train

__all__ = [
    "PRESETS",
    "AppearanceConfig",
    "ContrastiveConfig",
    "DensityConfig",
    "Preset",
    "Progress",
    "SpatialConfig",
    "TrainConfig",
    "train",
]
