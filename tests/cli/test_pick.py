"""`splatseg pick`: flags to prompts and options, and what is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatseg.cli import main
from splatseg.evaluation import iou
from splatseg.masks import read_label_map

MIN_IOU = 0.7  # of a ball in the view of the prompt; most have 0.9
NOTHING_FOUND = 3


def test_every_flag_of_one_object(scene_copy: Path, synthetic, tmp_path: Path, capsys) -> None:
    truth = synthetic.truth["view_0"]
    rows, columns = np.nonzero(truth == 1)
    edges = f"{columns.min()},{rows.min()},{columns.max() + 1},{rows.max() + 1}"
    at = {k: "view_0:{},{}".format(*synthetic.click(k, "view_0")) for k in (1, 2, 3)}
    x, y = synthetic.click(1, "view_0")
    Image.fromarray(truth == 1).save(tmp_path / "ball.png")
    prompts = ["--at", at[1], "--at", at[2], "--not-at", at[3], "--box", f"view_0:{edges}"]
    prompts += ["--scribble", f"view_0:{x},{y},{x + 2},{y}"]
    prompts += ["--mask", f"view_0:{tmp_path / 'ball.png'}"]
    assert main(["pick", str(scene_copy), *prompts, "--name", "balls"]) == 0
    folder = scene_copy / "picks" / "balls"
    said = capsys.readouterr().out
    assert "the object shows in 10 of 10 views" in said and "look here first" in said
    mask = read_label_map(folder / "masks" / "view_0.png")
    assert set(np.unique(mask)) == {0, 255}
    assert iou(mask > 0, np.isin(truth, (1, 2))) > MIN_IOU

    less = ["--add", "balls", "--subtract", str(folder), "--grow", "-1", "-o", str(tmp_path / "o")]
    assert main(["pick", str(scene_copy), *less, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"pick", "gaussians", "pixels"} and result["gaussians"] == 0
    assert result["pick"] == str(tmp_path / "o")


def test_many_objects(scene_copy: Path, synthetic, tmp_path: Path, capsys) -> None:
    x, y = synthetic.click(1, "view_0")
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"ball": {"at": [f"view_0:{x},{y}"]}}))
    assert main(["pick", str(scene_copy), "--points", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["name"]) for row in result["objects"]] == [(1, "ball")]


def test_nothing_found_exits_3(scene_copy: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"view_0": [{"prompt": "red ball", "box": [0, 0, 2, 2]}]}))
    command = ["pick", str(scene_copy), "--boxes", str(path), "--text", "red ball", "--debug"]
    assert main(command) == NOTHING_FOUND
    assert "look in other views with --text-in, or say" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing is picked; expected --at FRAME:X,Y, another prompt (--text, --box"),
        (("--not-at", "view_4:48,60"), "there is no prompt for what to select"),
        (("--not-at", "view_4"), "--not-at view_4 is not FRAME:X,Y"),
        (("--gaussian", "99999999"), "there is no Gaussian 99999999"),
        (("--points", "missing.json"), "missing.json"),
        (("--boxes", "b.json", "--at", "view_0:9,9"), "but no --text WORDS"),
        (("--text", "a", "--points", "p.json"), "--points and --text do not go together"),
        (("--text", "a", "--text", "b", "--at", "v:1,2"), "no other prompt goes with them"),
        (("--text", "a", "--boxes", "b", "--detector", "owl"), "--boxes are what a detector found"),
    ],
)
def test_what_cannot_be_picked_is_one_sentence(
    trained_folder: Path, arguments: tuple[str, ...], sentence: str, refused
) -> None:
    assert sentence in refused("pick", trained_folder, *arguments)
    assert not (trained_folder / "picks").exists()
