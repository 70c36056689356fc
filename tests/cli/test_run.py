"""`splatseg run`: what it prints, and its exit status."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from splatseg.cli import main
from splatseg.workflows import pipeline


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the workflow is called with; first, what it returns or raises under "made"."""
    given: dict[str, Any] = {}

    def run(*arguments: Any, **options: Any) -> Any:
        made = given.pop("made")
        given.update(options, arguments=arguments)
        if isinstance(made, BaseException):
            raise made
        return made

    monkeypatch.setattr(pipeline, "run", run)
    return given


def made(learns_features: bool, is_new: bool) -> Mock:
    """A stand-in for the result; stages that are not new have done nothing."""
    result = Mock(capture=Path("out"), scene=Path("out/splatseg"), first_click=("a", 64, 48))
    result.training = Mock(
        was_trained=is_new, learns_features=learns_features, gaussians=9, seconds=3.2
    )
    result.poses = result.masks = result.clusters = result.renders = None
    if is_new:
        result.poses = Mock(was_found=True, unregistered=(), other_models=(), capture=Path("out"))
        result.poses.configure_mock(reprojection_error=0.5, seconds=2.0, model=Path("sparse/0"))
        result.masks = Mock(masks=Path("masks/sam"), empty=(), unreadable=(), made=5)
        result.masks.seconds_per_photo = None
        result.clusters = Mock(objects=[{"kind": "object"}, {"kind": "background"}])
        result.renders = Mock(montage=Path("sheet.png"))
    result.to_json.return_value = {"capture": "out"}
    return result


def test_what_people_read(
    given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given["made"] = made(learns_features=True, is_new=True)
    assert main(["run", str(tmp_path), "-o", "out", "--iterations", "7", "--model", "sam"]) == 0
    assert given["arguments"] == (tmp_path, Path("out"))
    assert (given["iterations"], given["model"], given["preset"]) == (7, "sam", "plus")
    out = capsys.readouterr().out
    assert "wrote out/splatseg  (9 Gaussians, 3 s)" in out and "the 1 objects" in out
    assert "wrote sparse/0" in out and "wrote sheet.png" in out
    assert out.endswith("next: splatseg pick out/splatseg --at a:64,48\n")
    given["made"] = made(learns_features=False, is_new=False)
    assert main(["run", str(tmp_path), "--preset", "rgb"]) == 0
    out = capsys.readouterr().out
    assert "already trained with these settings; --restart" in out and "wrote" not in out
    assert out.endswith("next: splatseg evaluate out/splatseg out --protocol nvs\n")


def test_json_and_ctrl_c(
    given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given["made"] = made(learns_features=True, is_new=True)
    assert main(["run", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"capture": "out"}
    given["made"] = KeyboardInterrupt()
    assert main(["run", str(tmp_path)]) == 130
    assert "is kept: run the same command to go on" in capsys.readouterr().out
