"""COCO instances as CVAT and Label Studio export them, and panoptic segmentations."""

import logging

import numpy as np
import pytest
from builders import mask_files
from builders.mask_files import coco_json, coco_panoptic, runs
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import rle
from splatseg.masks.formats import Photo, read_masks

BOX = [1, 1, 5, 1, 5, 4, 1, 4]  # columns 1 to 4, rows 1 to 3


def put(root, data, file="annotations/instances_default.json"):
    return mask_files.put(root / file, data)


@pytest.fixture
def box():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 1:5] = True
    return mask


def test_polygons_and_run_lengths_of_every_kind(tmp_path, photos, masks, box):
    size = [6, 8]
    annotations = [
        {"segmentation": [BOX]},
        {"segmentation": [[float(number) for number in BOX], [6, 0, 8, 0, 8, 2, 6, 2]]},
        {"segmentation": {"size": size, "counts": runs(masks[0])}, "iscrowd": 1},
        {"segmentation": {"size": size, "counts": rle.encode(masks[2]).decode()}},
    ]
    put(tmp_path, coco_json(annotations))
    [(frame, segments)] = read_masks(tmp_path, photos)
    two_parts = box.copy()
    two_parts[0:2, 6:8] = True
    assert frame == "cam0/0001"
    assert np.array_equal(segments.masks(), [box, two_parts, masks[0], masks[2]])
    assert np.isnan(segments.predicted_iou).all()


def test_annotations_go_to_their_images(tmp_path, photos, caplog):
    annotations = [
        {"segmentation": [BOX], "image_id": 2},
        {"segmentation": [BOX]},
        {"segmentation": [BOX], "image_id": 2, "predicted_iou": 0.5, "stability_score": None},
    ]
    images = ("cam1/IMG.3.JPG", "cam0/0002.jpg", "cam0/0001.jpg")
    put(tmp_path, coco_json(annotations, images))
    with caplog.at_level(logging.INFO):
        found = dict(read_masks(tmp_path, photos))
    assert {frame: len(segments) for frame, segments in found.items()} == {
        "cam0/0002": 2,
        "cam1/IMG.3": 1,
    }
    assert found["cam0/0002"].predicted_iou.tolist()[1] == 0.5
    assert "1 of 3 photos have no masks" in caplog.text


def test_a_label_studio_export(tmp_path, box):
    """Names as uploaded: a hash before them, spaces replaced, backslashes from Windows."""
    photos = {name[:-4]: Photo(name, (8, 6)) for name in ("frame_00001.jpg", "IMG 2 (1).png")}
    images = ("images\\3fa85f64-frame_00001.jpg", "images/0badcafe-IMG_2_1.png")
    annotations = [
        {"segmentation": [BOX], "image_id": image_id, "ignore": 0} for image_id in (1, 2)
    ]
    put(tmp_path, coco_json(annotations, images), "result.json")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images/0badcafe-IMG_2_1.png")
    found = dict(read_masks(tmp_path, photos))
    assert set(found) == {"frame_00001", "IMG 2 (1)"}
    assert all(np.array_equal(segments.masks(), [box]) for segments in found.values())


def test_ids_that_are_text(tmp_path, photos):
    data = coco_json([{"segmentation": [BOX], "image_id": "a"}])
    data["images"][0]["id"] = "a"
    put(tmp_path, data)
    assert len(read_masks(tmp_path, photos)) == 1


def test_an_uploaded_copy_at_half_size(tmp_path, photos):
    put(tmp_path, coco_json([{"segmentation": [[0, 0, 2, 0, 2, 3]]}], size=(4, 3)))
    [(_, segments)] = read_masks(tmp_path, photos)
    assert (segments.width, segments.height) == (4, 3)


def test_another_shape_is_refused_with_both_names(tmp_path, photos):
    put(tmp_path, coco_json([{"segmentation": [BOX]}], size=(8, 8)))
    with pytest.raises(SplatsegError, match=r"default\.json \(cam0/0001\.jpg\) is 8x8 but its"):
        list(read_masks(tmp_path, photos))


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({}, "it has no segmentation, at most a box"),
        ({"segmentation": []}, "it has no segmentation"),
        ({"segmentation": None, "bbox": [1, 2, 3, 4]}, "it has no segmentation"),
        ({"segmentation": "abc"}, "expected an object at 'segmentation', found \"abc\""),
        ({"segmentation": [[1, 2, 3, 4]]}, "its polygon has 4 numbers"),
        ({"segmentation": [[*BOX, 1]]}, "its polygon has 9 numbers"),
        ({"segmentation": BOX}, "its polygon is not a list of numbers"),
        ({"segmentation": [["1"] * 8]}, "its polygon is not a list of numbers"),
        ({"segmentation": [[True] * 8]}, "its polygon is not a list of numbers"),
        ({"segmentation": [[*BOX[:-1], 1e9]]}, "its polygon lies far outside its 8x6 image"),
        ({"segmentation": [[*BOX[:-1], 2**2000]]}, "its polygon lies far outside"),
        ({"segmentation": [[*BOX[:-1], float("nan")]]}, "its polygon lies far outside"),
        ({"segmentation": [[*BOX[:-1], float("-inf")]]}, "its polygon lies far outside"),
        ({"segmentation": {"size": [6, 8], "counts": [3]}}, "its runs do not add up to 8x6"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, r"its size \[h, w\] is \[8, 6\]"),
        ({"segmentation": {"counts": [48]}}, "a list at 'size', found null"),
    ],
)
def test_an_annotation_without_a_mask_is_refused_by_name(tmp_path, photos, annotation, reason):
    put(tmp_path, coco_json([{"segmentation": [BOX]}, annotation]))
    with pytest.raises(
        SplatsegError, match=rf"default\.json \(cam0/0001\.jpg\) has .* annotation 2: .*{reason}"
    ):
        list(read_masks(tmp_path, photos))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": {}}, r"expected a list at 'images', found \{\}"),
        ({"images": [{"id": 1}]}, "expected a text at 'file_name', found null"),
        ({"images": [{"file_name": "a"}]}, "expected a number or a text at 'id', found null"),
        ({"images": [{"id": 1, "file_name": n} for n in "ab"]}, "two of its images have the id 1"),
        ({"images": []}, "annotation 1 is of image 1, which is not listed"),
        ({"annotations": None}, "expected a list at 'annotations', found null"),
        ({"annotations": [{}]}, "expected a number or a text at 'image_id'"),
        ({"annotations": [3]}, "expected a number or a text at 'image_id'"),
    ],
)
def test_json_of_another_form_is_refused_by_name(tmp_path, photos, change, reason):
    put(tmp_path, coco_json([{"segmentation": [BOX]}]) | change)
    with pytest.raises(SplatsegError, match=rf"instances_default\.json is not COCO's: {reason}"):
        read_masks(tmp_path, photos)


@pytest.mark.parametrize("size", [(0, 6), (8.5, 6), (None, None), (2**20, 2**20)])
def test_an_image_without_a_size_is_refused(tmp_path, photos, size):
    put(tmp_path, coco_json([{"segmentation": [BOX]}], size=size))
    with pytest.raises(SplatsegError, match=r"\(cam0/0001\.jpg\) has masks that cannot be used: "):
        list(read_masks(tmp_path, photos))


def test_too_many_annotations_of_a_photo_are_refused(tmp_path, photos):
    put(tmp_path, coco_json([{"segmentation": [BOX]}] * 65536))
    with pytest.raises(SplatsegError, match=r"\(cam0/0001\.jpg\) holds 65536 masks"):
        list(read_masks(tmp_path, photos))


def test_several_files_need_a_name(tmp_path, photos):
    for file in ("annotations/instances_val.json", "train.json"):
        path = put(tmp_path, coco_json([{"segmentation": [BOX]}]), file)
    with pytest.raises(
        SplatsegError, match=r"found train\.json, annotations/instances_val\.json; name the file"
    ):
        read_masks(tmp_path, photos)
    assert len(read_masks(path, photos)) == 1


# Panoptic segmentations


IDS = np.array([[0, 7, 7, 300], [0, 7, 70_000, 70_000], [300, 300, 70_000, 9]])


@pytest.fixture
def small_photo():
    return {"cam0/0001": Photo("cam0/0001.jpg", (4, 3))}


@pytest.mark.parametrize("folder", ["annotations/default", "annotations", "default"])
def test_panoptic_segments_are_those_listed(tmp_path, small_photo, folder):
    coco_panoptic(tmp_path, IDS, [300, 7, 70_000], folder)
    [(frame, segments)] = read_masks(tmp_path, small_photo)
    assert frame == "cam0/0001"
    assert np.array_equal(segments.masks(), [IDS == 300, IDS == 7, IDS == 70_000])


def test_segments_that_the_png_lacks_are_refused(tmp_path, small_photo):
    coco_panoptic(tmp_path, IDS, [7, 8, 11])
    with pytest.raises(
        SplatsegError, match=r"0001\.png has no pixel of segment 8 \(2 of 3 listed in its JSON"
    ):
        list(read_masks(tmp_path, small_photo))


def test_pngs_that_are_not_found_are_refused(tmp_path, small_photo):
    coco_panoptic(tmp_path, IDS, [7], "elsewhere")
    with pytest.raises(
        SplatsegError, match=r"default\.json names 0001\.png, which is in none of .*annotations"
    ):
        read_masks(tmp_path, small_photo)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"segments_info": []}, "expected a text at 'file_name', found null"),
        ({"file_name": "0001.png", "segments_info": [{}]}, "a whole number at 'id', found null"),
        ({"file_name": "0001.png", "segments_info": {}}, "expected a list at 'segments_info'"),
    ],
)
def test_another_panoptic_json_is_refused_by_name(tmp_path, small_photo, annotation, reason):
    put(tmp_path, coco_json([annotation]), "default.json")
    with pytest.raises(SplatsegError, match=rf"default\.json is not COCO's panoptic .*{reason}"):
        read_masks(tmp_path, small_photo)
