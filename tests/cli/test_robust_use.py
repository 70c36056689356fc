"""Edits and exports of a pick that is of another scene."""

from pathlib import Path

import pytest
from builders.labeled_scene import write_labeled_scene

from splatseg.cli import main

VERBS = {"hide": "edited", "export": "object.ply"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_pick_of_another_scene_is_refused(verb: str, synthetic, tmp_path: Path, refused) -> None:
    scene = write_labeled_scene(synthetic, tmp_path / "scene")
    other, output = tmp_path / "other", tmp_path / VERBS[verb]
    assert main(["extract", str(scene), "-o", str(other), "--selection", "ball"]) == 0
    sentence = refused(verb, other, "-o", output, "--selection", scene / "picks" / "ball")
    assert "is of another scene" in sentence and "pick it again in this scene" in sentence
    assert not output.exists()
