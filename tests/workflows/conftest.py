"""A scene with objects and a pick that no training made."""

from pathlib import Path

import pytest
from builders.labeled_scene import write_labeled_scene


@pytest.fixture
def labeled(synthetic, tmp_path: Path) -> Path:
    """A scene folder to write into: three balls as objects, and a pick of the first, "ball"."""
    return write_labeled_scene(synthetic, tmp_path / "scene")
