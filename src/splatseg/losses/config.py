"""Choices in the losses; nothing heavy is imported here."""

from typing import Literal

Temperature = Literal["code", "printed"]
"""A segment's temperature in Eq. 3: as in the authors' code, or as printed in the paper."""
