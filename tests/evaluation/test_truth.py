"""Loading ground truth, and every way it can be wrong."""

import json

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.evaluation import load_truth
from splatseg.masks import write_label_map

OBJECTS = {"instances": [{"id": 1, "name": "cup"}, {"id": 3, "name": "can", "tags": []}]}
SIZES = {"cam0/a": (8, 6), "b": (8, 6)}


@pytest.fixture
def capture(tmp_path):
    (tmp_path / "objects.json").write_text(json.dumps(OBJECTS))
    write_label_map(tmp_path / "gt_instances/cam0/a.png", np.array([[0, 1, 3, 3]] * 3))
    return tmp_path


def test_maps_of_the_frames_that_have_any(capture):
    truth = load_truth(capture, SIZES)
    assert truth.names == {1: "cup", 3: "can"}
    assert list(truth.maps) == ["cam0/a"]
    assert truth.maps["cam0/a"].tolist() == [[0, 1, 3, 3]] * 3


def test_a_capture_without_ground_truth(tmp_path):
    with pytest.raises(SplatsegError, match=r"no .*objects\.json; this protocol needs"):
        load_truth(tmp_path, SIZES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "does not list its objects"),
        ('{"instances": [{"id": 1}]}', "does not list its objects"),
        ('{"instances": [{"id": "x", "name": "cup"}]}', "does not list its objects"),
        ('{"instances": []}', r"lists the ids \[\]; expected numbers from 1"),
        ('{"instances": [{"id": 0, "name": "cup"}]}', r"lists the ids \[0\]"),
    ],
)
def test_a_broken_object_list(capture, text, reason):
    (capture / "objects.json").write_text(text)
    with pytest.raises(SplatsegError, match=rf"objects\.json {reason}"):
        load_truth(capture, SIZES)


def test_an_unnamed_object(capture):
    write_label_map(capture / "gt_instances/b.png", np.array([[0, 2, 3, 9]] * 3))
    with pytest.raises(SplatsegError, match=r"b\.png holds the ids \[2, 9\], which objects\.json"):
        load_truth(capture, SIZES)


def test_a_map_of_other_proportions(capture):
    with pytest.raises(SplatsegError, match=r"a\.png is 4x3 but its photo is 30x50"):
        load_truth(capture, {"cam0/a": (30, 50)})
