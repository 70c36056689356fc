"""COCO instances as CVAT and Label Studio export them, and panoptic segmentations."""

import logging

import numpy as np
import pytest
from builders.mask_files import coco_json, coco_panoptic, put, runs
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import rle
from splatseg.masks.formats import Photo, read_masks

INSTANCES = "annotations/instances_default.json"
BOX = [1, 1, 5, 1, 5, 4, 1, 4]
IDS = np.array([[0, 7, 7, 300], [0, 7, 70_000, 70_000], [300, 300, 70_000, 9]])
SMALL = {"cam0/0001": Photo("cam0/0001.jpg", (4, 3))}


@pytest.fixture
def box():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 1:5] = True
    return mask


def test_polygons_and_run_lengths_of_every_kind(tmp_path, photos, masks, box):
    annotations = [
        {"segmentation": [BOX]},
        {"segmentation": [[float(number) for number in BOX], [6, 0, 8, 0, 8, 2, 6, 2]]},
        {"segmentation": {"size": [6, 8], "counts": runs(masks[0])}, "iscrowd": 1},
        {"segmentation": {"size": [6, 8], "counts": rle.encode(masks[2]).decode()}},
    ]
    put(tmp_path / INSTANCES, coco_json(annotations))
    [(frame, segments)] = read_masks(tmp_path, photos)
    two_parts = box.copy()
    two_parts[0:2, 6:8] = True
    assert frame == "cam0/0001"
    assert np.array_equal(segments.masks(), [box, two_parts, masks[0], masks[2]])


def test_annotations_go_to_their_images(tmp_path, photos, caplog):
    """Ids may be text."""
    annotations = [{"image_id": 2}, {}, {"image_id": "a", "predicted_iou": 0.5}, {"image_id": "a"}]
    images = ("cam1/IMG.3.JPG", "cam0/0001.jpg", "cam0/0002.jpg")
    data = coco_json([{"segmentation": [BOX]} | each for each in annotations], images)
    data["images"][2]["id"] = "a"
    put(tmp_path / INSTANCES, data)
    found = dict(read_masks(tmp_path, photos))
    assert {frame: len(segments) for frame, segments in found.items()} == {
        "cam0/0001": 1,
        "cam0/0002": 2,
        "cam1/IMG.3": 1,
    }
    np.testing.assert_array_equal(found["cam0/0002"].predicted_iou, [0.5, np.nan])
    put(tmp_path / INSTANCES, coco_json([{"segmentation": [BOX], "stability_score": None}], images))
    with caplog.at_level(logging.INFO):
        assert len(read_masks(tmp_path, photos)) == 1
    assert "2 of 3 photos have no masks" in caplog.text


def test_a_label_studio_export(tmp_path, box):
    """Names as uploaded: a hash before them, spaces replaced, backslashes from Windows."""
    photos = {name[:-4]: Photo(name, (8, 6)) for name in ("frame_00001.jpg", "IMG 2 (1).png")}
    images = ("images\\3fa85f64-frame_00001.jpg", "images/0badcafe-IMG_2_1.png")
    annotations = [{"segmentation": [BOX], "image_id": image, "ignore": 0} for image in (1, 2)]
    put(tmp_path / "result.json", coco_json(annotations, images))
    Image.new("RGB", (8, 6)).save(put(tmp_path / images[1], ""))
    found = dict(read_masks(tmp_path, photos))
    assert set(found) == {"frame_00001", "IMG 2 (1)"}
    assert all(np.array_equal(segments.masks(), [box]) for segments in found.values())


def test_an_uploaded_copy_at_half_size(tmp_path, photos):
    data = coco_json([{"segmentation": [[0, 0, 2, 0, 2, 3]]}], size=(4, 3))
    put(tmp_path / INSTANCES, data)
    [(_, segments)] = read_masks(tmp_path, photos)
    assert (segments.width, segments.height) == (4, 3)


@pytest.mark.parametrize("folder", ["annotations/default", "annotations", "default"])
def test_panoptic_segments_are_those_listed(tmp_path, folder):
    coco_panoptic(tmp_path, IDS, [300, 7, 70_000], folder)
    [(frame, segments)] = read_masks(tmp_path, SMALL)
    assert frame == "cam0/0001"
    assert np.array_equal(segments.masks(), [IDS == 300, IDS == 7, IDS == 70_000])


@pytest.mark.parametrize(
    ("listed", "folder", "sentence"),
    [
        ([7, 8, 11], "default", r"0001\.png has no pixel of segment 8 \(2 of 3 listed in its JSON"),
        ([7], "elsewhere", r"default\.json names 0001\.png, which is in none of .*annotations"),
    ],
)
def test_panoptic_segments_that_are_not_there_are_refused(tmp_path, listed, folder, sentence):
    coco_panoptic(tmp_path, IDS, listed, folder)
    with pytest.raises(SplatsegError, match=sentence):
        list(read_masks(tmp_path, SMALL))


def test_several_files_need_a_name(tmp_path, photos):
    for file in ("annotations/instances_val.json", "train.json"):
        path = put(tmp_path / file, coco_json([{"segmentation": [BOX]}]))
    sentence = r"found train\.json, annotations/instances_val\.json; name the file"
    with pytest.raises(SplatsegError, match=sentence):
        read_masks(tmp_path, photos)
    assert len(read_masks(path, photos)) == 1
