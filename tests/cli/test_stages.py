"""`splatseg capture` and `run` with a stand-in for the workflow: what they pass on and print."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from splatseg.cli import main
from splatseg.workflows import pipeline, reconstruction
from splatseg.workflows.reconstruction import ReconstructionResult

FACTS = {"photos": 30, "registered": 12, "points": 400, "cameras": 1, "reprojection_error": 0.512}
MISSING = [f"view_{i}.png" for i in range(18)]


def found(is_new: bool = True) -> ReconstructionResult:
    return ReconstructionResult(
        capture=Path("desk"),
        unregistered=tuple(MISSING) if is_new else (),
        other_models=(5, 3) if is_new else (),
        seconds=61.26,
        was_found=is_new,
        **FACTS,
    )


def made(learns_features: bool, is_new: bool) -> Mock:
    """The result of a run; stages that are not new have done nothing."""
    result = Mock(capture=Path("out"), scene=Path("out/splatseg"), first_click=("a", 64, 48))
    result.training = Mock(
        was_trained=is_new, learns_features=learns_features, gaussians=9, seconds=3.2
    )
    result.poses = result.masks = result.clusters = result.renders = None
    if is_new:
        result.poses = found()
        result.masks = Mock(masks=Path("masks/sam"), empty=(), unreadable=(), made=5)
        result.masks.seconds_per_photo = None
        result.clusters = Mock(objects=[{"kind": "object"}, {"kind": "background"}])
        result.renders = Mock(montage=Path("sheet.png"))
    result.to_json.return_value = {"capture": "out"}
    return result


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands in for both workflows."""
    workflow = Mock()
    monkeypatch.setattr(reconstruction, "reconstruct", workflow)
    monkeypatch.setattr(pipeline, "run", workflow)
    return workflow


FEATURES, APPEARANCE = made(True, is_new=True), made(False, is_new=False)
SHOWN: list[tuple[str, Any, str]] = [
    ("capture", found(), f"18 of 30 photos could not be placed: {', '.join(MISSING[:10])}, …\n"),
    ("capture", found(), "but not with the rest (groups of 5, 3): photos that show both places"),
    ("capture", found(), "  (12 of 30 photos, 400 points, 0.51 pixels off on average, 61 s)\n"),
    ("capture", found(), "next: splatseg masks desk\nnext: splatseg train desk\n"),
    ("capture", found(is_new=False), "desk has the poses of these photos; --restart finds them"),
    ("run", FEATURES, "18 of 30 photos could not be placed: "),
    ("run", FEATURES, "wrote out/splatseg  (9 Gaussians, 3 s)\n"),
    ("run", FEATURES, "the 1 objects: look here first"),
    ("run", FEATURES, "wrote sheet.png"),
    ("run", FEATURES, "next: splatseg pick out/splatseg --at a:64,48\n"),
    ("run", APPEARANCE, "out/splatseg is already trained with these settings; --restart"),
    ("run", APPEARANCE, "next: splatseg evaluate out/splatseg out --protocol nvs\n"),
]


@pytest.mark.parametrize(("verb", "result", "words"), SHOWN)
def test_words(verb: str, result: Any, words: str, workflow: Mock, tmp_path: Path, capsys) -> None:
    workflow.return_value = result
    assert main([verb, str(tmp_path)]) == 0
    assert words in capsys.readouterr().out


def test_flags_json_and_ctrl_c(workflow: Mock, tmp_path: Path, capsys) -> None:
    workflow.side_effect = [found(), FEATURES, KeyboardInterrupt(), KeyboardInterrupt()]
    assert main(["capture", str(tmp_path), "--frames", "3", "--json"]) == 0
    assert workflow.call_args.args == (tmp_path, None) and workflow.call_args.kwargs["frames"] == 3
    lists = {"unregistered": MISSING, "other_models": [5, 3]}
    expected = FACTS | lists | {"capture": "desk", "seconds": 61.3}
    assert json.loads(capsys.readouterr().out) == expected
    command = ["run", str(tmp_path), "-o", "out", "--iterations", "7", "--model", "sam", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"capture": "out"}
    assert workflow.call_args.args == (tmp_path, Path("out"))
    given = {"iterations": 7, "model": "sam", "preset": "plus"}
    assert workflow.call_args.kwargs.items() >= given.items()
    for verb in ("capture", "run"):
        assert main([verb, str(tmp_path)]) == 130
        assert "is kept: run the same command to go on" in capsys.readouterr().out
