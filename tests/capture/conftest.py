"""Captures of nine frames in a temporary folder."""

from pathlib import Path

import pytest
from builders.captures import CaptureMaker


@pytest.fixture
def maker(tmp_path: Path) -> CaptureMaker:
    """An empty capture to be written."""
    return CaptureMaker(tmp_path)


@pytest.fixture
def colmap(maker: CaptureMaker) -> CaptureMaker:
    """A capture with photos and a COLMAP model in `sparse/0`."""
    maker.photos()
    maker.colmap()
    return maker


@pytest.fixture
def transforms(maker: CaptureMaker) -> CaptureMaker:
    """A capture with photos and transforms.json."""
    maker.photos()
    maker.transforms()
    return maker
