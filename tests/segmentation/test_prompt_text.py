"""Prompts as they are typed, and files of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.segmentation import BoxPrompt, GaussianPrompt, PointPrompt, ScribblePrompt
from splatseg.segmentation.prompt_text import (
    parse_box,
    parse_mask,
    parse_point,
    parse_scribble,
    read_objects,
)


@pytest.mark.parametrize(
    ("parse", "text", "prompt"),
    [
        (parse_point, "a:3,4", PointPrompt("a", 3.5, 4.5)),  # whole numbers name a pixel
        (parse_point, "cam0/0001:3.0,4.25", PointPrompt("cam0/0001", 3.0, 4.25)),
        (parse_point, "a:b:0,0", PointPrompt("a:b", 0.5, 0.5)),
        (parse_box, "cam0/1:1,2,30,40.5", BoxPrompt("cam0/1", 1.0, 2.0, 30.0, 40.5)),
        (parse_scribble, "a:1,2,3.25,4", ScribblePrompt("a", ((1.5, 2.5), (3.25, 4.5)))),
    ],
)
def test_a_prompt_is_parsed(parse, text: str, prompt) -> None:
    assert parse(text) == prompt


@pytest.mark.parametrize(
    ("parse", "text", "sentence"),
    [
        *(
            (parse_point, text, f"`at` {text} is not FRAME:X,Y, as in frame_00012:320,240")
            for text in ("", "a", "a:", ":1,2", "a:1", "a:1,2,3", "a:x,y", "a:-1,2", "1,2")
        ),
        (parse_box, "a:1,2,3", "`box` a:1,2,3 is not FRAME:X0,Y0,X1,Y1"),
        (parse_scribble, "a:1,2,3", "`scribble` a:1,2,3 is not FRAME:X,Y,X,Y,..."),
        (parse_mask, "a", "`mask` a is not FRAME:FILE"),
        (parse_mask, "a:missing.png", "missing.png"),
    ],
)
def test_another_text_is_refused(parse, text: str, sentence: str) -> None:
    with pytest.raises(SplatsegError) as caught:
        parse(text)
    assert sentence in str(caught.value)


def test_a_file_lists_objects(tmp_path: Path) -> None:
    path = tmp_path / "objects.json"
    cup = {"at": ["a:1,2"], "not_at": ["a:5,6"], "gaussian": [7], "level": "part"}
    path.write_text(json.dumps({"cup": cup, "pen": {"gaussian": [3]}}))
    cup, pen = (found := read_objects(path, "whole")).values()
    assert list(found) == ["cup", "pen"]
    assert cup.positive == [PointPrompt("a", 1.5, 2.5), GaussianPrompt(7)]
    assert (cup.negative, cup.words) == ([PointPrompt("a", 5.5, 6.5)], None)
    assert (cup.level, pen.level) == ("part", "whole")
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(tmp_path / "mask.png")
    assert parse_mask(f"a:{tmp_path / 'mask.png'}").mask.tolist() == [[False, True]]


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
