"""Box files: what they say, and every way in which they cannot be read."""

import json

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.models.detector import Detection
from splatseg.text import BoxFile

IMAGE = np.zeros((480, 640, 3), dtype=np.uint8)
SIZES = {"frame_00001": (640, 480), "cam0/0002": (480, 640)}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "boxes.json"


def test_the_boxes_of_a_prompt_by_frame(path):
    boxes = {
        "frame_00001": [
            {"prompt": "red mug", "box": [10, 20, 30.5, 40], "score": 0.3},
            {"prompt": "Red  Mug", "box": [1, 2, 3, 4], "score": 0.9},
            {"prompt": "book", "box": [0, 0, 640, 480]},
        ],
        "cam0/0002": [{"prompt": "book", "box": [-5, 600, 1000, 700], "note": "by hand"}],
    }
    file = BoxFile(write(path, boxes), SIZES)
    assert file.prompts == ("book", "red mug")
    assert file.frames("RED mug") == ["frame_00001"]
    mugs, books, none = file.find("frame_00001", IMAGE, ["RED mug", "book", "lamp"])
    assert mugs == [
        Detection((1.0, 2.0, 3.0, 4.0), 0.9, "Red  Mug"),
        Detection((10.0, 20.0, 30.5, 40.0), 0.3, "red mug"),
    ]
    assert books == [Detection((0.0, 0.0, 640.0, 480.0), 1.0, "book")]
    assert none == [] and file.frames("lamp") == []
    cut = Detection((0.0, 600.0, 480.0, 640.0), 1.0, "book")  # at the photo's edges
    assert file.frames("book") == ["frame_00001", "cam0/0002"]
    assert file.find("cam0/0002", IMAGE, ["red mug", "book"]) == [[], [cut]]


def test_a_file_without_boxes(path):
    file = BoxFile(write(path, {"frame_00001": []}), SIZES)
    assert (file.prompts, file.find("frame_00001", IMAGE, ["mug"])) == ((), [[]])
    assert BoxFile(write(path, {}), SIZES).prompts == ()


def entry(**changes):
    return {"frame_00001": [{"prompt": "mug", "box": [1, 2, 3, 4]} | changes]}


FIRST = "box 1 of frame_00001"
REFUSED = {
    "half a file": ('{"frame', "is not valid JSON"),
    "a list": ([], "is no JSON object"),
    "no text": ("\x00", "is not valid JSON"),
    "another frame": ({"frame_9": []}, "boxes of 'frame_9', which is no frame of the scene"),
    "a photo's name": ({"frame_00001.jpg": []}, "expected frames such as cam0/0002"),
    "no list": ({"frame_00001": {}}, "frame_00001 has no list of boxes"),
    "no object": ({"frame_00001": [[1, 2, 3, 4]]}, f"{FIRST} is [1, 2, 3, 4]"),
    "the second": (
        {"frame_00001": [*entry()["frame_00001"], 7]},
        "box 2 of frame_00001 is 7; expected an object",
    ),
    "no prompt": ({"frame_00001": [{"box": [1, 2, 3, 4]}]}, f"{FIRST} has the prompt None"),
    "a prompt without words": (entry(prompt=" "), f"{FIRST} has the prompt ' '; expected words"),
    "no box": ({"frame_00001": [{"prompt": "mug"}]}, f"{FIRST} has the box None"),
    "three numbers": (entry(box=[1, 2, 3]), "expected four numbers x0, y0, x1, y1"),
    "a word": (entry(box=[1, 2, 3, "4"]), "expected four numbers x0, y0, x1, y1"),
    "true": (entry(box=[0, 0, 3, True]), "expected four numbers x0, y0, x1, y1"),
    "no number": (
        '{"frame_00001": [{"prompt": "mug", "box": [1, 2, 3, NaN]}]}',
        "expected four numbers",
    ),
    "a width": (entry(box=[100, 50, 40, 60]), "which has no area; expected x0, y0, x1, y1 with"),
    "a line": (entry(box=[1, 5, 9, 5]), "which has no area"),
    "outside": (entry(box=[640, 0, 700, 10]), "lies outside the photo of 640x480"),
    "above": (entry(box=[0, -20, 10, 0]), "lies outside the photo of 640x480"),
    "a score in words": (entry(score="high"), "has the score 'high'; expected a number from 0 to"),
    "a score in percent": (entry(score=90), "has the score 90; expected a number from 0 to 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(path, case):
    content, sentence = REFUSED[case]
    with pytest.raises(SplatsegError) as error:
        BoxFile(write(path, content), SIZES)
    message = str(error.value)
    assert sentence in message and str(path) in message and "\n" not in message


def test_no_file(path):
    with pytest.raises(SplatsegError, match="does not exist"):
        BoxFile(path, SIZES)
