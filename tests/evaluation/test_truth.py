"""Loading ground truth, and every way it can be wrong."""

import json

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.evaluation import load_truth
from splatseg.evaluation.truth import load_boxes, load_void
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
    with pytest.raises(SplatsegError, match=r"objects\.json does not exist; expected the objects"):
        load_truth(tmp_path, SIZES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not valid JSON"),
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


def test_areas_and_masks_of_a_frame(capture):
    truth = load_truth(capture, SIZES)
    assert truth.areas("cam0/a") == {1: 3, 3: 6}
    assert truth.mask("cam0/a", 3).tolist() == [[False, False, True, True]] * 3


def test_void_is_what_stuff_names_and_no_object_covers(capture):
    write_label_map(capture / "gt_stuff/cam0/a.png", np.array([[201, 201, 0, 0]] * 3))
    write_label_map(capture / "gt_instances/b.png", np.array([[0, 1, 0, 0]] * 3))
    void = load_void(capture, load_truth(capture, SIZES))
    assert void["cam0/a"].tolist() == [[True, False, False, False]] * 3
    assert void["b"].tolist() == [[True, False, True, True]] * 3  # has no file


def test_a_stuff_map_of_another_size(capture):
    write_label_map(capture / "gt_stuff/cam0/a.png", np.array([[201, 0]] * 3))
    with pytest.raises(SplatsegError, match=r"a\.png is 2x3 but .*gt_instances/ is 4x3"):
        load_void(capture, load_truth(capture, SIZES))


POINTS = np.array([[0, 0, 0], [1, 2, 3], [0.5, -1, 5], [99, 99, 99], [7, 7, 7]])
LABELS = np.array([1, 1, 1, 1, 0])
OUTLIERS = np.array([False, False, False, True, False])


def test_a_box_holds_the_points_that_are_no_outliers(tmp_path):
    np.savez(tmp_path / "points_gt.npz", xyz_clean=POINTS, label=LABELS, outlier=OUTLIERS)
    boxes = load_boxes(tmp_path)
    assert list(boxes) == [1]
    assert boxes[1].tolist() == [[0, -1, 0], [1, 2, 5]]


def test_no_points_no_boxes(tmp_path):
    assert load_boxes(tmp_path) == {}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (None, "cannot be read"),
        ({"label": LABELS, "outlier": OUTLIERS}, "xyz_clean.*expected the arrays"),
        ({"xyz_clean": POINTS, "label": LABELS[:2], "outlier": OUTLIERS}, r"label \(2,\)"),
        ({"xyz_clean": POINTS[:, :2], "label": LABELS, "outlier": OUTLIERS}, r"xyz_clean \(5, 2\)"),
    ],
)
def test_broken_points(tmp_path, arrays, reason):
    path = tmp_path / "points_gt.npz"
    path.write_bytes(b"no archive") if arrays is None else np.savez(path, **arrays)
    with pytest.raises(SplatsegError, match=rf"points_gt\.npz.*{reason}"):
        load_boxes(tmp_path)
