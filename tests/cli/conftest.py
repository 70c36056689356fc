"""Commands as they are typed; what they change for the whole process is put back after a test."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from builders.labeled_scene import write_labeled_scene

from splatseg.cli import main
from splatseg.engine import library as engine


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    """`--threads` would otherwise hold for the tests that follow, and change their last digits."""
    yield
    torch.set_num_threads(1)  # what the tests start with; a module's fixture may have changed it
    if engine.is_available():
        engine.set_threads(0)  # one per core, the default


@pytest.fixture
def labeled(synthetic, tmp_path: Path) -> Path:
    return write_labeled_scene(synthetic, tmp_path / "labeled")


@pytest.fixture
def typed(request: pytest.FixtureRequest, synthetic, tmp_path: Path) -> Callable[[str], list[str]]:
    """The words of a command; folders in braces are made for the test, `{red}` is a click."""
    made = {"capture": "capture_copy", "scene": "scene_copy", "labeled": "labeled"}

    def place(match: re.Match[str]) -> str:
        if match[1] == "red":
            return "view_0:{},{}".format(*synthetic.click(1, "view_0"))
        return str(request.getfixturevalue(made.get(match[1], "tmp_path")))

    return lambda command: re.sub(r"\{(\w+)\}", place, command).split()


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail: its one sentence."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == 2
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("splatseg: ")]
        assert out == "" and len(lines) == 1 and "Traceback" not in err
        return lines[0]

    return run
