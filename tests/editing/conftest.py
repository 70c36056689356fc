"""Views of the true scene of three balls on a ground."""

import pytest

from splatseg.capture import Frame, load_capture
from splatseg.geometry.camera import Camera


@pytest.fixture(scope="session")
def views(synthetic) -> list[Frame]:
    """The frames of the synthetic capture."""
    return list(load_capture(synthetic.root).frames)


@pytest.fixture(scope="session")
def arc(views: list[Frame]) -> list[Camera]:
    return [frame.camera for frame in views]
