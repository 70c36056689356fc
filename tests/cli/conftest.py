"""What the command line changes for the whole process is put back after each test."""

from collections.abc import Callable, Iterator

import pytest
import torch

from splatseg.cli import main
from splatseg.engine import library as engine


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    """`--threads` would otherwise hold for the tests that follow, and change their last digits.

    Set to what the tests start with, not to what this test found: a module's fixture that runs the
    command line comes before this one.
    """
    yield
    torch.set_num_threads(1)
    if engine.is_available():
        engine.set_threads(0)  # one per core, the default


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail: its one sentence."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        status = main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert status == 2
        assert out == ""
        lines = [line for line in err.splitlines() if line.startswith("splatseg: ")]
        assert len(lines) == 1 and "Traceback" not in err
        return lines[0]

    return run
