"""`extract`, `remove`, `hide`, `recolor` and `move`: arguments in, one workflow, words out."""

import json
from pathlib import Path

import pytest
from builders.labeled_scene import write_labeled_scene

from splatseg.cli import main
from splatseg.cli.edit import parse_color, parse_rotation
from splatseg.scene import load_scene


@pytest.fixture
def labeled(synthetic, tmp_path: Path) -> Path:
    return write_labeled_scene(synthetic, tmp_path / "scene")


VERBS = {
    "extract": (),
    "remove": (),
    "hide": (),
    "recolor": ("--color", "red", "--strength", "0.3"),
    "move": ("--by=-0.1,0,0", "--rotate", "z,90", "--scale", "1.5"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_writes_a_scene(verb: str, labeled: Path, tmp_path: Path, capsys) -> None:
    command = [verb, str(labeled), "-o", str(tmp_path / "new"), "--object", "1", *VERBS[verb]]
    assert main([*command, "--selection", "ball", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    scene = load_scene(tmp_path / "new")
    assert scene.config["edits"] == [f"{verb} 1, ball"]
    assert result["scene"] == str(tmp_path / "new")
    assert result["selected"] == 160 and result["gaussians"] == len(scene.gaussians)
    assert ("unseen" in result) == (verb == "remove")


@pytest.mark.parametrize(
    ("verb", "arguments", "sentence"),
    [
        ("hide", (), "nothing is selected"),
        ("hide", ("--selection", "cup"), "there is no pick cup"),
        ("recolor", ("--color", "rouge"), "--color rouge is no color; expected #rrggbb"),
        ("move", ("--by", "1,2"), "--by 1,2 is not X,Y,Z"),
        ("move", ("--by", "1,2,nan"), "--by 1,2,nan is not X,Y,Z"),
        ("move", ("--rotate", "up,90"), "is not AXIS,DEGREES, as in z,90, or W,X,Y,Z"),
    ],
)
def test_refused_in_one_sentence(
    verb: str, arguments: tuple[str, ...], sentence: str, labeled: Path, tmp_path: Path, refused
) -> None:
    assert sentence in refused(verb, labeled, "-o", tmp_path / "new", *arguments)
    assert not (tmp_path / "new").exists()
    assert "-o is the scene itself" in refused(
        "hide", labeled, "-o", labeled, "--object", 1, "--device", "cpu"
    )


def test_people_read_how_much_no_photo_shows(labeled: Path, tmp_path: Path, capsys) -> None:
    assert main(["remove", str(labeled), "-o", str(tmp_path / "new"), "--object", "1"]) == 0
    shown = capsys.readouterr().out
    assert "160 Gaussians selected; the new scene has " in shown
    assert f"the scene is a guess there: see {tmp_path / 'new' / 'unseen.png'}" in shown


def test_colors_and_rotations_as_they_are_typed() -> None:
    assert parse_color("#ff8000") == pytest.approx((1, 128 / 255, 0))
    assert parse_rotation("y,180") == pytest.approx((0, 0, 1, 0), abs=1e-6)
    assert parse_rotation("1,0,0,2") == (1, 0, 0, 2)
