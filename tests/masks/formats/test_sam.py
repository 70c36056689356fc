"""SAM's folders of PNGs with a table, its lists of run lengths, and SA-1B's JSON."""

import json

import numpy as np
import pytest
from builders.mask_files import QUALITIES, SAM_HEADER, sam_folder, sam_list
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks.formats import read_masks


@pytest.mark.parametrize("folder", ["0001", "cam0/0001"])
def test_a_folder_a_photo(tmp_path, photos, masks, folder):
    photos.pop("cam1/IMG.3")
    sam_folder(tmp_path, masks, folder)
    sam_folder(tmp_path, masks[::-1], "0002")
    Image.new("RGB", (8, 6)).save(tmp_path / "0002/0matting.png")  # forks put more beside them
    found = dict(read_masks(tmp_path, photos))
    assert list(found) == ["cam0/0001", "cam0/0002"]
    assert np.array_equal(found["cam0/0001"].masks(), masks)
    assert np.array_equal(found["cam0/0002"].masks(), masks[::-1])
    segments = found["cam0/0001"]
    qualities = np.stack([segments.predicted_iou, segments.stability_score], axis=1)
    assert np.array_equal(qualities, QUALITIES)


def test_the_folder_of_one_photo(tmp_path, photos, masks):
    sam_folder(tmp_path, masks, "0002")
    [(frame, segments)] = read_masks(tmp_path / "0002", photos)
    assert frame == "cam0/0002" and np.array_equal(segments.masks(), masks)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_run_lengths_a_photo(tmp_path, photos, masks, indent):
    path = sam_list(tmp_path, masks)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    [(frame, segments)] = read_masks(tmp_path, photos)
    assert frame == "cam0/0001" and np.array_equal(segments.masks(), masks)
    assert segments.predicted_iou.tolist() == [iou for iou, _ in QUALITIES]
    assert segments.stability_score.tolist() == [stability for _, stability in QUALITIES]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("id,area\n0,3", "no id, predicted_iou and stability_score in row 1 of 1"),
        (f"{SAM_HEADER}\n0,12,1,2,3,4,5.5,6.5,0.9", "in row 1 of 1; .* perhaps it is half written"),
        (f"{SAM_HEADER}\n../x,12,1,2,3,4,5,6,0.9,0.9,0,0,8,6", "no id"),
        (f"{SAM_HEADER}\n0,12,1,2,3,4,5,6,high,0.9,0,0,8,6", "no id"),
        (f"{SAM_HEADER}\n0,12,1,2,3,4,5,6,nan,0.9,0,0,8,6", "no id"),
        (f"{SAM_HEADER}\n9,12,1,2,3,4,5,6,0.9,0.9,0,0,8,6", r"9\.png cannot be read as PNG"),
        (b"\xff\xfe\x00", "not a table of masks"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, photos, masks, table, reason):
    sam_folder(tmp_path, masks)
    path = tmp_path / "0001/metadata.csv"
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(SplatsegError, match=reason) as error:
        list(read_masks(tmp_path, photos))
    assert "0001" in str(error.value)


def test_masks_of_two_sizes_in_one_folder_are_refused(tmp_path, photos, masks):
    sam_folder(tmp_path, masks)
    Image.new("L", (16, 12)).save(tmp_path / "0001/1.png")
    with pytest.raises(SplatsegError, match=r"1\.png is 16x12 but the masks before it are 8x6"):
        list(read_masks(tmp_path, photos))


def test_too_many_rows_are_refused(tmp_path, photos, masks):
    sam_folder(tmp_path, masks)
    row = "0,12,1,2,3,4,5,6,0.9,0.9,0,0,8,6\n"
    (tmp_path / "0001/metadata.csv").write_text(f"{SAM_HEADER}\n{row * 65536}")
    with pytest.raises(SplatsegError, match=r"metadata\.csv holds 65536 masks"):
        list(read_masks(tmp_path, photos))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([{"segmentation": None}], "an object at 'segmentation', found null"),
        ([{"area": 3}], "an object at 'segmentation', found null"),
        ([3], "an object at 'segmentation', found null"),
        ([{"segmentation": {"size": [6]}}], r"first mask has the size \[h, w\] \[6\]"),
        ([{"segmentation": {"size": [0, 8], "counts": ""}}], r"has the size \[h, w\] \[0, 8\]"),
        ([{"segmentation": {"size": [6, 8], "counts": [1]}}], "annotation 1 of 1: its runs do not"),
        (
            [
                {"segmentation": {"size": [6, 8], "counts": [48]}},
                {"segmentation": {"size": [8, 6], "counts": [48]}},
            ],
            r"annotation 2 of 2: its size \[h, w\] is \[8, 6\]",
        ),
        ([{}] * 65536, "an object at 'segmentation'"),
        ([{"segmentation": {"size": [6, 8]}}] * 65536, "it holds 65536 masks"),
        ({"annotations": []}, "an object at 'image', found null"),
        (3, "an object at 'image', found null"),
    ],
)
def test_another_json_is_refused_by_name(tmp_path, photos, data, reason):
    (tmp_path / "0001.json").write_text(json.dumps(data))
    with pytest.raises(SplatsegError, match=rf"0001\.json does not hold SAM's masks .*{reason}"):
        list(read_masks(tmp_path, photos, "sam"))
