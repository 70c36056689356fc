"""Views of the true scene of three balls on a ground."""

import pytest

from splatseg.capture import Frame, load_capture


@pytest.fixture(scope="session")
def views(synthetic) -> list[Frame]:
    """The frames of the synthetic capture."""
    return list(load_capture(synthetic.root).frames)
