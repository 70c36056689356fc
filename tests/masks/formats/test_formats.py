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
    """How a format is written, and what is said of a file cut at these parts of its length."""

    format: str
    write: Callable[[Path, np.ndarray], Path]
    cut_short: str
    lengths: tuple[float, ...] = (0, 0.02, 0.5)
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
WITH_QUALITY = (mask_files.sam_folder, mask_files.sam_list)
EYE = np.eye(6, 8, dtype=int)


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


def of_first_photo(found):
    """The segments of cam0/0001, which all formats are written for."""
    return next(segments for frame, segments in found if frame == "cam0/0001")


def test_masks_of_every_format_come_back(tmp_path, photos, masks, as_set, case):
    masks = masks if case.overlaps else masks[[0, 2]]
    path = case.write(tmp_path / "masks", masks)
    assert recognize(tmp_path / "masks") == case.format
    segments = of_first_photo(read_masks(tmp_path / "masks", photos))
    assert len(segments) == len(masks) and as_set(segments.masks()) == as_set(masks)
    for quality in (segments.predicted_iou, segments.stability_score):
        assert np.isnan(quality).all() == (case.write not in WITH_QUALITY)
    if path.suffix not in (".csv", ".png"):
        assert recognize(path) == case.format


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
    mask_files.saga(tmp_path / "a", masks)
    mask_files.omniseg3d(tmp_path / "b", masks)
    with pytest.raises(SplatsegError, match=r"several formats \(saga, omniseg3d\); name the one"):
        recognize(tmp_path)
    assert read_masks(tmp_path, {"0001": photos["cam0/0001"]}, "saga").format == "saga"


@pytest.mark.parametrize(
    ("place", "format", "sentence"),
    [
        ("a.jpg", None, "masks of no known format"),
        ("plain", None, "masks of no known format"),
        ("empty", None, "holds nothing, masks of no known format"),
        ("nowhere", None, "nowhere does not exist"),
        ("nowhere", "saga", "nowhere does not exist"),
        ("data", None, r"more than masks; name .* as .*seg_masks$"),
        ("data", "label-map", r"more than masks; name .* as .*seg_masks$"),
        ("data/seg_masks", "png", "no mask format png; there are label-map, sam, saga"),
        *(("empty", format, "empty") for format in FORMATS),
    ],
)
def test_a_place_without_such_masks_is_refused(tmp_path, photos, place, format, sentence):
    (tmp_path / "empty").mkdir()
    for name in ("a.jpg", "plain"):
        mask_files.put(tmp_path / name, "")
    for folder in ("images", "seg_masks"):
        write_label_map(tmp_path / "data" / folder / "0001.png", EYE)
    with pytest.raises(SplatsegError, match=sentence):
        read_masks(tmp_path / place, photos, format)


def test_an_unknown_folder_is_told_what_it_holds(tmp_path):
    for name in ("a.jpg", "b.JPG", "notes", "empty.json"):
        mask_files.put(tmp_path / name, "")
    mask_files.put(tmp_path / "results.json", '[{"image_id": 3, "segmentation": {}}]')
    mask_files.put(tmp_path / "transforms.json", '{"frames": []}')
    with pytest.raises(
        SplatsegError, match=r"holds 3 \.json, 2 \.jpg, 1 other files, masks of no known format"
    ) as error:
        recognize(tmp_path)
    assert all(f"{name}: " in str(error.value) for name in FORMATS)


def test_masks_are_read_one_photo_at_a_time_and_at_its_size_without_notice(
    tmp_path, photos, caplog
):
    for name in ("0001", "0002"):
        write_label_map(tmp_path / f"cam0/{name}.png", EYE)
    found = read_masks(tmp_path, photos)
    assert len(found) == 2
    os.remove(tmp_path / "cam0/0002.png")
    frames = iter(found)
    assert next(frames)[0] == "cam0/0001"
    with pytest.raises(SplatsegError, match=r"0002\.png"):
        next(frames)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_masks_of_a_downscaled_photo_keep_their_size(tmp_path, caplog):
    photos = {name: Photo(f"{name}.jpg", (31, 23)) for name in "abc"}
    for name, size in (("a", (6, 8)), ("b", (23, 31)), ("c", (12, 16))):
        write_label_map(tmp_path / f"{name}.png", np.eye(*size, dtype=int))
    sizes = {frame: (found.width, found.height) for frame, found in read_masks(tmp_path, photos)}
    assert sizes == {"a": (8, 6), "b": (31, 23), "c": (16, 12)}
    assert caplog.text.count("another size") == 1 and "0.258 times its 31x23" in caplog.text
    sentence = "2 of 3 photos have masks of another size, which is kept: those of a are 8x6, "
    assert sentence in caplog.text


@pytest.mark.parametrize(
    ("write", "format", "names", "sentence"),
    [
        (mask_files.garfield, "garfield", ("a.hdf5", "b.h5"), r"or several \.hdf5 files; name one"),
        (mask_files.garfield, None, ("a.hdf5", "b.h5"), "masks of no known format"),
    ],
)
def test_several_files_need_a_name(tmp_path, photos, masks, write, format, names, sentence):
    content = write(tmp_path / "one", masks).read_bytes()
    for name in names:
        path = mask_files.put(tmp_path / "several" / name, content)
    with pytest.raises(SplatsegError, match=sentence):
        read_masks(tmp_path / "several", photos, format)
    assert len(read_masks(path, photos)) >= 1
