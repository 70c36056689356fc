"""Every format of masks: recognized by its files, read, and refused where it is damaged."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from builders import mask_files

from splatseg.errors import SplatsegError
from splatseg.masks import write_label_map
from splatseg.masks.formats import FORMATS, Photo, read_masks, recognize


class Case(NamedTuple):
    """How a format is written, and what is said of a file that ends too early."""

    format: str
    write: Callable[[Path, np.ndarray], Path]
    cut_short: str
    lengths: tuple[float, ...] = (0, 0.02, 0.5)
    """Parts of the file at which it is cut."""
    overlaps: bool = True
    """Whether masks may overlap."""
    has_empty: bool = True
    """Whether a photo may have no masks."""


HALF_JSON = "is not valid JSON .* half written"
CASES = {
    "label map": Case("label-map", mask_files.label_map, "read as PNG", overlaps=False),
    "SAM folder": Case("sam", mask_files.sam_folder, "perhaps it is half written", (0.9,)),
    "SAM list": Case("sam", mask_files.sam_list, HALF_JSON, (0, 0.01, 0.5, 0.999)),
    "SA-1B": Case("sam", mask_files.sa1b, HALF_JSON, (0.5, 0.999)),
    "SAGA": Case("saga", mask_files.saga, "cannot be read as a tensor", (0, 0.02, 0.5, 0.98)),
    "OmniSeg3D": Case("omniseg3d", mask_files.omniseg3d, "read as numpy's", (0, 0.1, 0.5, 0.999)),
    "GARField": Case("garfield", mask_files.garfield, "read as HDF5", (0, 0.1, 0.5, 0.999)),
    "COCO": Case("coco", mask_files.coco, HALF_JSON, (0.5, 0.999), has_empty=False),
    "panoptic": Case("coco-panoptic", mask_files.panoptic, "as PNG", (0.5,), False, False),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def of_first_photo(found):
    """The segments of cam0/0001, which all formats are written for."""
    return next(segments for frame, segments in found if frame == "cam0/0001")


def test_masks_of_every_format_come_back(tmp_path, photos, masks, as_set, case):
    masks = masks if case.overlaps else masks[[0, 2]]
    path = case.write(tmp_path / "masks", masks)
    assert recognize(tmp_path / "masks") == case.format
    segments = of_first_photo(read_masks(tmp_path / "masks", photos))
    assert len(segments) == len(masks) and as_set(segments) == as_set(masks)
    assert np.isnan(segments.predicted_iou).all() == (case.write not in WITH_QUALITY)
    if path.suffix not in (".csv", ".png"):
        assert recognize(path) == case.format


WITH_QUALITY = (mask_files.sam_folder, mask_files.sam_list)


def test_a_photo_without_masks_of_every_format(tmp_path, photos, masks, case):
    if not case.has_empty:
        pytest.skip("the format does not tell such a photo from one that was left out")
    case.write(tmp_path, masks[:0])
    segments = of_first_photo(read_masks(tmp_path, photos, case.format))
    assert (len(segments), segments.width, segments.height) == (0, 8, 6)


def test_a_file_cut_short_of_every_format_is_refused_by_name(tmp_path, photos, masks, case):
    path = case.write(tmp_path, masks if case.overlaps else masks[[0, 2]])
    whole = path.read_bytes()
    for part in case.lengths:
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(SplatsegError, match=f"{path.name} .*{case.cut_short}"):
            list(read_masks(tmp_path, photos, case.format))


def test_every_format_is_tried():
    assert {case.format for case in CASES.values()} == set(FORMATS)


@pytest.mark.parametrize(
    ("content", "format"), [(" [ ]\n", "sam"), ('{"images" : [], "annotations": []}', "coco")]
)
def test_a_json_is_recognized_by_its_first_keys(tmp_path, content, format):
    mask_files.put(tmp_path / "0001.json", content)
    assert recognize(tmp_path) == recognize(tmp_path / "0001.json") == format


def test_several_formats_in_one_folder_need_a_name(tmp_path, photos):
    masks = np.ones((1, 6, 8), bool)
    mask_files.saga(tmp_path / "masks/a", masks)
    mask_files.omniseg3d(tmp_path / "masks/b", masks)
    with pytest.raises(SplatsegError, match=r"several formats \(saga, omniseg3d\); name the one"):
        recognize(tmp_path / "masks")
    single = {"0001": photos["cam0/0001"]}
    assert read_masks(tmp_path / "masks", single, "saga").format == "saga"


def test_an_unknown_folder_is_told_what_it_holds(tmp_path):
    for name in ("a.jpg", "b.JPG", "notes", "empty.json", "results.json"):
        mask_files.put(tmp_path / name, "")
    mask_files.put(tmp_path / "results.json", '[{"image_id": 3, "segmentation": {}}]')
    mask_files.put(tmp_path / "transforms.json", '{"frames": []}')
    with pytest.raises(
        SplatsegError, match=r"holds 3 \.json, 2 \.jpg, 1 other files, masks of no known format"
    ) as error:
        recognize(tmp_path)
    assert all(f"{name}: " in str(error.value) for name in FORMATS)


@pytest.mark.parametrize("name", ["a.jpg", "plain"])
def test_an_unknown_file_is_refused(tmp_path, name):
    mask_files.put(tmp_path / name, "")
    with pytest.raises(SplatsegError, match="masks of no known format"):
        recognize(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SplatsegError, match="holds nothing, masks of no known format"):
        recognize(tmp_path)


def test_a_place_that_does_not_exist_is_refused(tmp_path, photos):
    for format in (None, "saga"):
        with pytest.raises(SplatsegError, match="nowhere does not exist"):
            read_masks(tmp_path / "nowhere", photos, format)


def test_another_tools_whole_data_folder_is_refused(tmp_path, photos):
    write_label_map(tmp_path / "images/0001.png", np.eye(6, 8, dtype=int))
    write_label_map(tmp_path / "seg_masks/0001.png", np.eye(6, 8, dtype=int))
    for format in (None, "label-map"):
        with pytest.raises(SplatsegError, match=r"more than masks; name .* as .*seg_masks$"):
            read_masks(tmp_path, photos, format)


def test_an_unknown_format_lists_those_there_are(tmp_path, photos):
    with pytest.raises(SplatsegError, match="no mask format png; there are label-map, sam, saga"):
        read_masks(tmp_path, photos, "png")


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_without_such_files_is_refused(tmp_path, photos, format):
    with pytest.raises(SplatsegError, match=str(tmp_path)):
        read_masks(tmp_path, photos, format)


# What all imports share


def test_masks_are_read_one_photo_at_a_time(tmp_path, photos):
    write_label_map(tmp_path / "cam0/0001.png", np.eye(6, 8, dtype=int))
    write_label_map(tmp_path / "cam0/0002.png", np.eye(6, 8, dtype=int))
    found = read_masks(tmp_path, photos)
    assert len(found) == 2
    os.remove(tmp_path / "cam0/0002.png")
    frames = iter(found)
    assert next(frames)[0] == "cam0/0001"
    with pytest.raises(SplatsegError, match=r"0002\.png"):
        next(frames)


def test_masks_of_a_downscaled_photo_keep_their_size(tmp_path, caplog):
    photos = {name: Photo(f"{name}.jpg", (31, 23)) for name in "abc"}
    for name, size in (("a", (6, 8)), ("b", (23, 31)), ("c", (12, 16))):
        write_label_map(tmp_path / f"{name}.png", np.eye(*size, dtype=int))
    sizes = {frame: (found.width, found.height) for frame, found in read_masks(tmp_path, photos)}
    assert sizes == {"a": (8, 6), "b": (31, 23), "c": (16, 12)}
    assert caplog.text.count("another size") == 1
    assert "2 of 3 photos have masks of another size, which is kept: those of a are 8x6, " in (
        caplog.text
    )
    assert "0.258 times its 31x23" in caplog.text


def test_masks_of_the_photos_size_need_no_notice(tmp_path, photos, caplog):
    write_label_map(tmp_path / "cam0/0001.png", np.eye(6, 8, dtype=int))
    with caplog.at_level(logging.WARNING):
        assert len(list(read_masks(tmp_path, photos))) == 1
    assert not caplog.records


def test_masks_of_another_shape_are_refused_by_name(tmp_path, photos):
    write_label_map(tmp_path / "0001.png", np.eye(8, 6, dtype=int))
    with pytest.raises(SplatsegError, match=r"0001\.png is 6x8 but its photo is 8x6"):
        list(read_masks(tmp_path, photos))
