"""Choices of what a scene is exported as; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal

ExportFormat = Literal[
    "ply",
    "compressed-ply",
    "spz",
    "sog",
    "splat",
    "ids",
    "ids-ply",
    "boxes",
    "mesh",
    "masks",
    "label-maps",
    "coco",
    "sa1b",
    "video",
]
"""The names of formats.FORMATS."""


@dataclass(frozen=True)
class Viewpoints:
    """Which views masks and videos are of."""

    path: Literal["photos", "turntable", "flight"] | None = None
    """The photos' own views (masks, by default), a circle around the object (videos, by default),
    or a flight through the places of the photos."""
    views: int = 120
    """How many views a turntable or a flight has; a video shows 30 a second."""
    in_scene: bool = False
    """Videos of an object: within its scene, which is dimmed, and not alone."""
