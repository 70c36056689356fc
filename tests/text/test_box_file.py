"""Box files: what they say, and every way in which they cannot be read."""

import json

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.models.detector import Detection
from splatseg.text import BoxFile

IMAGE = np.zeros((480, 640, 3), dtype=np.uint8)
SIZES = {"frame_00001": (640, 480), "cam0/0002": (480, 640)}


def write(folder, content):
    path = folder / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_boxes_of_a_prompt_by_frame(tmp_path):
    boxes = {
        "frame_00001": [
            {"prompt": "red mug", "box": [10, 20, 30.5, 40], "score": 0.3},
            {"prompt": "Red  Mug", "box": [1, 2, 3, 4], "score": 0.9},
            {"prompt": "book", "box": [0, 0, 640, 480]},
        ],
        "cam0/0002": [{"prompt": "book", "box": [-5, 600, 1000, 700], "note": "by hand"}],
    }
    file = BoxFile(write(tmp_path, boxes), SIZES)
    assert file.prompts == ("book", "red mug")
    frames = [file.frames(prompt) for prompt in ("RED mug", "book", "lamp")]
    assert frames == [["frame_00001"], ["frame_00001", "cam0/0002"], []]
    red = Detection((10.0, 20.0, 30.5, 40.0), 0.3, "red mug")
    sure = Detection((1.0, 2.0, 3.0, 4.0), 0.9, "Red  Mug")
    book = Detection((0.0, 0.0, 640.0, 480.0), 1.0, "book")
    cut = Detection((0.0, 600.0, 480.0, 640.0), 1.0, "book")  # at the photo's edges
    found = file.find("frame_00001", IMAGE, ["RED mug", "book", "lamp"])
    assert found == [[sure, red], [book], []]
    assert file.find("cam0/0002", IMAGE, ["red mug", "book"]) == [[], [cut]]
    assert BoxFile(write(tmp_path, {"frame_00001": []}), SIZES).prompts == ()


def entry(**changes):
    return {"frame_00001": [{"prompt": "mug", "box": [1, 2, 3, 4]} | changes]}


FIRST, SECOND = "box 1 of frame_00001", "box 2 of frame_00001"
REFUSED = [
    ('{"frame', "is not valid JSON"),
    ([], "is no JSON object"),
    ({"frame_9": []}, "boxes of 'frame_9', which is no frame of the scene"),
    ({"frame_00001.jpg": []}, "expected frames such as cam0/0002"),
    ({"frame_00001": {}}, "frame_00001 has no list of boxes"),
    ({"frame_00001": [[1, 2, 3, 4]]}, f"{FIRST} is [1, 2, 3, 4]"),
    ({"frame_00001": [*entry()["frame_00001"], 7]}, f"{SECOND} is 7; expected an object"),
    ({"frame_00001": [{"box": [1, 2, 3, 4]}]}, f"{FIRST} has the prompt None"),
    (entry(prompt=" "), f"{FIRST} has the prompt ' '; expected words"),
    (entry(box=None), f"{FIRST} has the box None"),
    (entry(box=[1, 2, 3]), "expected four numbers x0, y0, x1, y1"),
    (entry(box=[1, 2, 3, "4"]), "expected four numbers x0, y0, x1, y1"),
    (entry(box=[0, 0, 3, True]), "expected four numbers x0, y0, x1, y1"),
    (entry(box=[1, 2, 3, float("nan")]), "expected four numbers"),
    (entry(box=[100, 50, 40, 60]), "which has no area; expected x0, y0, x1, y1 with"),
    (entry(box=[1, 5, 9, 5]), "which has no area"),
    (entry(box=[640, 0, 700, 10]), "lies outside the photo of 640x480"),
    (entry(box=[0, -20, 10, 0]), "lies outside the photo of 640x480"),
    (entry(score="high"), "has the score 'high'; expected a number from 0 to"),
    (entry(score=90), "has the score 90; expected a number from 0 to 1"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_refused_in_one_sentence(tmp_path, content, sentence):
    path = write(tmp_path, content)
    with pytest.raises(SplatsegError) as error:
        BoxFile(path, SIZES)
    message = str(error.value)
    assert sentence in message and str(path) in message and "\n" not in message
    with pytest.raises(SplatsegError, match="does not exist"):
        BoxFile(tmp_path / "none.json", SIZES)
