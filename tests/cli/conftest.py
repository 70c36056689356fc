"""What the command line changes for the whole process is put back after each test."""

from collections.abc import Iterator

import pytest
import torch

from splatseg.render import engine


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    """`--threads` would otherwise hold for the tests that follow, and change their last digits."""
    torch_threads = torch.get_num_threads()
    engine_threads = engine.threads() if engine.is_available() else None
    yield
    torch.set_num_threads(torch_threads)
    if engine_threads is not None:
        engine.set_threads(engine_threads)
