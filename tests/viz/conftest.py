"""Plain pictures."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def rgb() -> Callable[..., np.ndarray]:
    return lambda height, width, value=200: np.full((height, width, 3), value, dtype=np.uint8)
