"""How many CPU threads the engine and torch use."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from splatseg.engine import library


def set_threads(count: int) -> None:
    """Compute on `count` threads, in the engine and in torch, from now on."""
    torch.set_num_threads(count)
    if library.is_available():
        library.set_threads(count)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute on `count` threads for a while, beside others that want the cores too."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
