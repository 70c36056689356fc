"""Names of what masks can be asked for; nothing heavy is imported here."""

from typing import Literal, get_args

Level = Literal["whole", "part", "subpart"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The coarsest first."""

FlatteningOrder = Literal["smallest_on_top", "largest_on_top"]
"""Which of two overlapping masks a label map shows."""
