"""`splatseg pick --text`: words, boxes from a file in place of a detector, and nothing found."""

import json
from pathlib import Path

import numpy as np
import pytest

from splatseg.cli import main
from splatseg.evaluation import iou
from splatseg.masks import read_label_map
from splatseg.tensor_files import read_tensors

MIN_IOU = 0.7  # of a ball in a view; most have 0.9
BALLS = {"red ball": 1, "green ball": 2}
NOTHING_FOUND = 3


@pytest.fixture
def boxes(synthetic, tmp_path: Path):
    """Writes a box file: of each frame, prompts with the ball whose box is theirs and a score."""

    def write(content) -> Path:
        listed = {
            frame: [
                {"prompt": prompt, "box": box_around(synthetic, frame, ball), "score": score}
                for prompt, ball, score in entries
            ]
            for frame, entries in content.items()
        }
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(listed))
        return path

    return write


def box_around(synthetic, frame: str, ball: int) -> list[int]:
    rows, columns = np.nonzero(synthetic.truth[frame] == ball)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return [int(edge) for edge in edges]


def test_words_find_their_object(scene_copy: Path, synthetic, boxes) -> None:
    path = boxes({"view_0": [("red ball", 1, 0.9), ("green ball", 2, 0.9)]})
    command = ["pick", str(scene_copy), "--text", "Red  Ball", "--boxes", str(path), "--debug"]
    assert main(command) == 0
    folder = scene_copy / "picks" / "object"
    shown = read_label_map(folder / "masks" / "view_4.png") > 0
    assert iou(shown, synthetic.truth["view_4"] == 1) > MIN_IOU
    assert (folder / "debug" / "1.png").exists()
    _, told = read_tensors(folder / "selection.safetensors")
    assert json.loads(told["made"])[0].startswith("'Red  Ball', found as box")
    assert main(command) == 0  # a pick with debug pictures is a pick, and may be replaced


def test_views_vote(scene_copy: Path, synthetic, boxes, capsys) -> None:
    wrong = ("red ball", 2, 0.9)
    right = ("red ball", 1, 0.5)
    path = boxes({"view_0": [wrong], "view_3": [right], "view_4": [right]})
    assert main(["pick", str(scene_copy), "--text", "red ball", "--boxes", str(path)]) == 0
    shown = read_label_map(scene_copy / "picks" / "object" / "masks" / "view_0.png") > 0
    assert iou(shown, synthetic.truth["view_0"] == 1) > MIN_IOU

    one = ["--text-in", "view_0", "--text-on", "render"]
    assert main(["pick", str(scene_copy), "--text", "red ball", "--boxes", str(path), *one]) == 0
    shown = read_label_map(scene_copy / "picks" / "object" / "masks" / "view_0.png") > 0
    assert iou(shown, synthetic.truth["view_0"] == 2) > MIN_IOU


def test_several_prompts_are_several_objects(scene_copy: Path, synthetic, boxes) -> None:
    path = boxes({"view_0": [(prompt, ball, 0.9) for prompt, ball in BALLS.items()]})
    texts = [word for prompt in BALLS for word in ("--text", prompt)]
    assert main(["pick", str(scene_copy), *texts, "--boxes", str(path), "--debug"]) == 0
    folder = scene_copy / "picks" / "object"
    labels = read_label_map(folder / "labels" / "view_4.png")
    rows = json.loads((folder / "objects.json").read_text())
    assert [row["name"] for row in rows] == list(BALLS)
    for row in rows:
        truth = synthetic.truth["view_4"] == BALLS[row["name"]]
        assert iou(labels == row["id"], truth) > MIN_IOU
    assert len(list((folder / "debug").iterdir())) == 2


def test_what_is_not_found_exits_3_and_writes_nothing(scene_copy: Path, boxes, capsys) -> None:
    path = boxes({"view_0": [("red ball", 1, 0.9)]})
    command = ["pick", str(scene_copy), "--boxes", str(path)]
    assert main([*command, "--text", "lamp"]) == NOTHING_FOUND
    assert "no box of 'lamp'; it has boxes of red ball" in capsys.readouterr().err
    assert main([*command, "--text", "red ball", "--text", "lamp"]) == NOTHING_FOUND
    assert "boxes.json finds no 'lamp' in view_0; look in other views" in capsys.readouterr().err
    assert not (scene_copy / "picks").exists()


def test_boxes_on_nothing_find_nothing(scene_copy: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"view_0": [{"prompt": "lamp", "box": [0, 0, 2, 2]}]}))
    command = ["pick", str(scene_copy), "--text", "lamp", "--boxes", str(path)]
    assert main(command) == NOTHING_FOUND


def test_flags_that_do_not_go_together(scene_copy: Path, boxes, tmp_path: Path, refused) -> None:
    path = boxes({"view_0": [("red ball", 1, 0.9), ("green ball", 2, 0.9)]})
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"ball": {"at": ["view_0:10,10"]}}))
    boxed = ("pick", scene_copy, "--boxes", path)
    assert "but no --text WORDS" in refused(*boxed, "--at", "view_0:10,10")
    with_text = (*boxed, "--text", "red ball")
    assert "do not go with it" in refused(*with_text, "--detector", "owl")
    assert "--points and --text do not go together" in refused(*with_text, "--points", points)
    two = (*with_text, "--text", "green ball", "--at", "view_0:10,10")
    assert "no other prompt goes with them" in refused(*two)
    assert "no frame view_99" in refused(*with_text, "--text-in", "view_99")
