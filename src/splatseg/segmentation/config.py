"""Defaults of picking; nothing heavy is imported here."""

from typing import Literal

THRESHOLD = 0.7  # Eq. 6: the cosine to a query from which a pixel belongs to the object
QUERY_RADIUS = 1  # pixels of the undistorted image; 0 is the paper's single pixel

Operation = Literal["add", "subtract", "intersect"]
"""How a selection is combined with another."""
