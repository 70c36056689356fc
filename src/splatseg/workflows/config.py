"""Choices that workflows share; nothing heavy is imported here."""

from typing import Literal

from splatseg.training.config import Preset

Device = Literal["auto", "cpu", "cuda"]
"""auto: the GPU if torch finds one and gsplat is installed, else the CPU."""

DEFAULT_PRESET: Preset = "plus"

SCENE_FOLDER = "splatseg"  # in a capture

LiftPreset = Literal["plus", "paper"]
"""plus: features from the consensus of all views. paper: by the published losses."""
