"""`splatseg pick` by other prompts than a click, of many objects, and with earlier picks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatseg.cli import main
from splatseg.cli.prompts import parse_box, parse_mask, parse_scribble, read_objects
from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.masks import read_label_map
from splatseg.segmentation import BoxPrompt, ScribblePrompt

MIN_IOU = 0.7  # of a ball in the view of the prompt; most have 0.9


def pick(scene: Path, *arguments: object) -> Path:
    assert main(["pick", str(scene), *map(str, arguments), "--json"]) == 0
    name = arguments[list(arguments).index("--name") + 1] if "--name" in arguments else "object"
    return scene / "picks" / str(name)


def shown(folder: Path, view: str) -> np.ndarray:
    return read_label_map(folder / "masks" / f"{view}.png") > 0


def at(synthetic, ball: int, view: str = "view_0") -> str:
    x, y = synthetic.click(ball, view)
    return f"{view}:{x},{y}"


def test_a_box_a_scribble_a_mask_and_a_gaussian(scene_copy: Path, synthetic, tmp_path) -> None:
    truth = synthetic.truth["view_0"] == 1
    rows, columns = np.nonzero(truth)
    edges = f"{columns.min()},{rows.min()},{columns.max() + 1},{rows.max() + 1}"
    x, y = synthetic.click(1, "view_0")
    Image.fromarray(truth).save(tmp_path / "ball.png")
    prompts = {
        "box": f"view_0:{edges}",
        "scribble": f"view_0:{x},{y},{x + 2},{y}",
        "mask": f"view_0:{tmp_path / 'ball.png'}",
    }
    for kind, text in prompts.items():
        assert iou(shown(pick(scene_copy, f"--{kind}", text), "view_0"), truth) > MIN_IOU


def test_a_negative_click_takes_an_object_away(scene_copy: Path, synthetic) -> None:
    one, two = at(synthetic, 1), at(synthetic, 2)
    both = shown(pick(scene_copy, "--at", one, "--at", two), "view_0")
    without = shown(
        pick(scene_copy, "--at", one, "--at", two, "--not-at", at(synthetic, 3)), "view_0"
    )

    assert iou(both, np.isin(synthetic.truth["view_0"], (1, 2))) > MIN_IOU
    assert not without[synthetic.truth["view_0"] == 3].any()


def test_picks_are_combined_by_name_folder_or_file(scene_copy: Path, synthetic, tmp_path) -> None:
    truth = synthetic.truth["view_0"]
    one = pick(scene_copy, "--at", at(synthetic, 1), "--name", "one")
    two = pick(scene_copy, "--at", at(synthetic, 2), "--name", "two")

    both = pick(scene_copy, "--add", "one", "--add", two, "--name", "both")
    again = pick(scene_copy, "--at", at(synthetic, 1), "--add", "two", "--name", "again")
    less = pick(scene_copy, "--add", "both", "--subtract", two / "selection.safetensors")

    assert iou(shown(both, "view_0"), np.isin(truth, (1, 2))) > MIN_IOU
    assert iou(shown(again, "view_0"), shown(both, "view_0")) > 0.9
    assert iou(shown(less, "view_0"), shown(one, "view_0")) > MIN_IOU
    shared = pick(scene_copy, "--add", "one", "--intersect", "two", "--name", "shared")
    assert np.count_nonzero(shown(shared, "view_0")) < 0.1 * np.count_nonzero(truth == 1)


def test_a_selection_grows_and_shrinks(scene_copy: Path, synthetic) -> None:
    sizes = [
        np.count_nonzero(shown(pick(scene_copy, "--at", at(synthetic, 1), "--grow", k), "view_0"))
        for k in (-1, 0, 1)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_many_objects_from_a_file(scene_copy: Path, synthetic, tmp_path, capsys) -> None:
    path = tmp_path / "balls.json"
    path.write_text(json.dumps({f"ball {k}": {"at": [at(synthetic, k)]} for k in (1, 2, 3)}))

    assert main(["pick", str(scene_copy), "--points", str(path), "--json"]) == 0

    result = json.loads(capsys.readouterr().out)
    folder = scene_copy / "picks" / "object"
    assert [row["name"] for row in result["objects"]] == ["ball 1", "ball 2", "ball 3"]
    assert json.loads((folder / "objects.json").read_text()) == result["objects"]
    for name, truth in synthetic.truth.items():
        labels = read_label_map(folder / "labels" / f"{name}.png")
        assert labels.dtype == np.uint8
        assert np.mean([iou(labels == k, truth == k) for k in (1, 2, 3)]) > MIN_IOU
    one = pick(scene_copy, "--add", folder / "selections" / "1.safetensors", "--name", "one")
    assert iou(shown(one, "view_0"), synthetic.truth["view_0"] == 1) > MIN_IOU


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing is picked; expected --at FRAME:X,Y"),
        (("--subtract", "one"), "there is no pick one; expected a selection.safetensors"),
        (("--not-at", "view_4:48,60"), "there is no prompt for what to select"),
        (("--box", "view_0:1,2,3"), "--box view_0:1,2,3 is not FRAME:X0,Y0,X1,Y1"),
        (("--box", "view_0:5,5,5,9"), "is empty; expected the left"),
        (("--scribble", "view_0:1,2,3"), "is not FRAME:X,Y,X,Y,..."),
        (("--mask", "view_0"), "--mask view_0 is not FRAME:FILE"),
        (("--mask", "view_0:missing.png"), "missing.png"),
        (("--gaussian", "99999999"), "there is no Gaussian 99999999"),
        (("--points", "missing.json"), "missing.json"),
    ],
)
def test_what_cannot_be_picked_is_one_sentence(
    scene_copy: Path, arguments: tuple[str, ...], sentence: str, capsys
) -> None:
    assert main(["pick", str(scene_copy), *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not (scene_copy / "picks").exists() or not list((scene_copy / "picks").iterdir())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "lists no objects"),
        ('{"cup": []}', "cup is no object"),
        ('{"cup": {"click": []}}', "cup has 'click'; expected at, not_at"),
        ('{"cup": {"at": "view_0:1,2"}}', "at of cup is not a list of texts"),
        ('{"cup": {"gaussian": ["1"]}}', "gaussian of cup is not a list of numbers"),
        ('{"cup": {"at": ["view_0:1,2"], "level": "crumb"}}', "cup has level 'crumb'"),
        ('{"cup": {"not_at": ["view_0:1,2"]}}', "cup has no prompt for what to select"),
    ],
)
def test_a_file_of_objects_is_checked(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "objects.json"
    path.write_text(content)
    with pytest.raises(SplatsegError) as caught:
        read_objects(path, "whole")
    assert sentence in str(caught.value) and str(path) in str(caught.value)


def test_prompts_as_they_are_typed(tmp_path: Path) -> None:
    assert parse_box("cam0/1:1,2,30,40.5") == BoxPrompt("cam0/1", 1.0, 2.0, 30.0, 40.5)
    assert parse_scribble("a:1,2,3.25,4") == ScribblePrompt("a", ((1.5, 2.5), (3.25, 4.5)))
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(tmp_path / "mask.png")
    assert parse_mask(f"a:{tmp_path / 'mask.png'}").mask.tolist() == [[False, True]]
