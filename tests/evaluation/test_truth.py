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
POINTS = np.array([[0, 0, 0], [1, 2, 3], [0.5, -1, 5], [99, 99, 99], [7, 7, 7]])
LABELS = np.array([1, 1, 1, 1, 0])
OUTLIERS = np.array([False, False, False, True, False])


@pytest.fixture
def capture(tmp_path):
    (tmp_path / "objects.json").write_text(json.dumps(OBJECTS))
    write_label_map(tmp_path / "gt_instances/cam0/a.png", np.array([[0, 1, 3, 3]] * 3))
    return tmp_path


def test_maps_areas_and_masks_of_the_frames_that_have_any(capture):
    truth = load_truth(capture, SIZES)
    assert truth.names == {1: "cup", 3: "can"}
    assert list(truth.maps) == ["cam0/a"]
    assert truth.maps["cam0/a"].tolist() == [[0, 1, 3, 3]] * 3
    assert truth.areas("cam0/a") == {1: 3, 3: 6}
    assert truth.mask("cam0/a", 3).tolist() == [[False, False, True, True]] * 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "does not exist; expected the objects"),
        ("{", "is not valid JSON"),
        ("[]", "does not list its objects"),
        ('{"instances": [{"id": 1}]}', "does not list its objects"),
        ('{"instances": [{"id": "x", "name": "cup"}]}', "does not list its objects"),
        ('{"instances": []}', r"lists the ids \[\]; expected numbers from 1"),
        ('{"instances": [{"id": 0, "name": "cup"}]}', r"lists the ids \[0\]"),
    ],
)
def test_a_broken_object_list(capture, text, reason):
    path = capture / "objects.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(SplatsegError, match=rf"objects\.json {reason}"):
        load_truth(capture, SIZES)


@pytest.mark.parametrize(
    ("file", "row", "reason"),
    [
        ("gt_instances/b.png", [0, 2, 3, 9], r"holds the ids \[2, 9\], which objects\.json"),
        ("gt_instances/b.png", [0] * 9, "is 9x3 but its photo is 8x6"),
        ("gt_stuff/cam0/a.png", [201, 0], "is 2x3 but .*gt_instances/ is 4x3"),
    ],
)
def test_maps_that_do_not_fit(capture, file, row, reason):
    write_label_map(capture / file, np.array([row] * 3))
    with pytest.raises(SplatsegError, match=rf"{file.rpartition('/')[2]} {reason}"):
        load_void(capture, load_truth(capture, SIZES))


def test_void_is_what_stuff_names_and_no_object_covers(capture):
    write_label_map(capture / "gt_stuff/cam0/a.png", np.array([[201, 201, 0, 0]] * 3))
    write_label_map(capture / "gt_instances/b.png", np.array([[0, 1, 0, 0]] * 3))
    void = load_void(capture, load_truth(capture, SIZES))
    assert void["cam0/a"].tolist() == [[True, False, False, False]] * 3
    assert void["b"].tolist() == [[True, False, True, True]] * 3  # has no file


def test_a_box_holds_the_points_that_are_no_outliers(tmp_path):
    assert load_boxes(tmp_path) == {}
    np.savez(tmp_path / "points_gt.npz", xyz_clean=POINTS, label=LABELS, outlier=OUTLIERS)
    assert {k: box.tolist() for k, box in load_boxes(tmp_path).items()} == {
        1: [[0, -1, 0], [1, 2, 5]]
    }


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
