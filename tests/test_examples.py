"""The examples run, on the capture that ships with the project."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# What is tested is that the example works, not how good its scene is.
QUICK = "--iterations 400 --downscale 2 --lift.steps 50"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_leaves_what_the_readme_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load("01_demo").demo(tmp_path / "scene", QUICK.split())
    printed = capsys.readouterr().out
    assert "nvs/1: psnr" in printed
    assert "click/1: miou" in printed
    for name in ("scene.ply", "objects.json", "picks/drill/overview.png"):
        assert (tmp_path / "scene" / name).is_file()
    assert (tmp_path / "scene" / "renders" / "contact_sheet.png").is_file()
