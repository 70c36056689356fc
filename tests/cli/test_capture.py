"""`splatseg capture`: what it prints, and its exit status."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import textured_scene as scene

from splatseg.cli import main
from splatseg.workflows import reconstruction
from splatseg.workflows.reconstruction import ReconstructionResult

FOUND = ReconstructionResult(
    capture=Path("desk"),
    photos=30,
    registered=12,
    unregistered=tuple(f"view_{i}.png" for i in range(18)),
    other_models=(5, 3),
    points=400,
    cameras=1,
    reprojection_error=0.512,
    seconds=61.26,
    was_found=True,
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the workflow returns, or raises."""
    results: list[Any] = [FOUND]

    def reconstruct(*arguments: object, **options: object) -> ReconstructionResult:
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    monkeypatch.setattr(reconstruction, "reconstruct", reconstruct)
    return results


def test_what_people_read(
    found: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["capture", str(tmp_path)]) == 0
    names = ", ".join(FOUND.unregistered[:10])
    assert capsys.readouterr().out.splitlines() == [
        f"18 of 30 photos could not be placed: {names}, …",
        "some of them fit together but not with the rest (groups of 5, 3): photos that show both "
        "places would join them",
        f"wrote {FOUND.model}  (12 of 30 photos, 400 points, 0.51 pixels off on average, 61 s)",
        "next: splatseg masks desk",
        "next: splatseg train desk",
    ]
    found[0] = replace(FOUND, was_found=False, unregistered=(), other_models=())
    main(["capture", str(tmp_path)])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "desk has the poses of these photos; --restart finds them anew"
    assert second.startswith("wrote ")


def test_what_programs_read(
    found: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["capture", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "capture": "desk",
        "photos": 30,
        "registered": 12,
        "unregistered": list(FOUND.unregistered),
        "other_models": [5, 3],
        "points": 400,
        "cameras": 1,
        "reprojection_error": 0.512,
        "seconds": 61.3,
    }


def test_ctrl_c(found: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found[0] = KeyboardInterrupt()
    assert main(["capture", str(tmp_path)]) == 130
    assert "is kept: run the same command to go on" in capsys.readouterr().out


def test_parameters_are_spelled_as_flags(tmp_path: Path, refused: Callable[..., str]) -> None:
    scene.write_photos(tmp_path / "photos", range(1))
    assert "--frames is for videos" in refused("capture", tmp_path / "photos", "--frames", 3)
    (tmp_path / "transforms.json").write_text("{}")
    sentence = refused("capture", tmp_path / "photos", "-o", tmp_path)
    assert "name another folder with -o" in sentence
