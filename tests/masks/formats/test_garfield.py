"""GARField's file: ids by pixel become masks, images without names become photos in order."""

import math
import sys

import numpy as np
import pytest
from builders.mask_files import garfield, hdf5

from splatseg.errors import SplatsegError
from splatseg.masks.formats import Photo, read_masks


def only_mask(index):
    """A single pixel that tells which image it is of."""
    mask = np.zeros((1, 6, 8), dtype=bool)
    mask[0, index // 8 % 6, index % 8] = True
    return mask


def numbered(keys):
    return {f"sam_hf/pixel_level_keys/{index}": values for index, values in enumerate(keys)}


def test_masks_come_back(tmp_path, photos, masks, as_set, caplog):
    garfield(tmp_path, masks, masks[:1], masks[1:])
    found = dict(read_masks(tmp_path, photos))
    assert list(found) == ["cam0/0001", "cam0/0002", "cam1/IMG.3"]
    for segments, expected in zip(found.values(), (masks, masks[:1], masks[1:]), strict=True):
        assert len(segments) == len(expected) and as_set(segments) == as_set(expected)
    assert (
        "names no photo: its 3 images are taken for the capture's in order of name, the first for "
        "cam0/0001, the last for cam1/IMG.3" in caplog.text
    )


def test_images_past_the_ninth_are_in_order_of_number(tmp_path):
    photos = {f"{k:02}": Photo(f"{k:02}.jpg", (8, 6)) for k in reversed(range(12))}
    garfield(tmp_path, *(only_mask(k) for k in range(12)))
    for frame, segments in read_masks(tmp_path / "sam_data.hdf5", photos):
        assert np.array_equal(segments.masks(), only_mask(int(frame)))


def test_photos_that_garfield_holds_out_have_no_masks(tmp_path):
    """As nerfstudio splits: evenly spaced, the first and the last for training."""
    total = 150
    photos = {f"{k:03}": Photo(f"{k:03}.jpg", (8, 6)) for k in range(total)}
    chosen = np.linspace(0, total - 1, math.ceil(total * 0.99), dtype=int)
    assert len(chosen) == 149
    keys = {f"sam_fb/pixel_level_keys/{k}": np.zeros((6, 8, 1), int) for k in range(len(chosen))}
    hdf5(tmp_path / "sam_data.hdf5", keys)
    found = read_masks(tmp_path, photos)
    assert sorted(found.entries) == [f"{k:03}" for k in chosen]
    assert {int(entry.name) for entry in found.entries.values()} == set(range(149))


def test_another_number_of_photos_is_refused(tmp_path, photos, masks):
    garfield(tmp_path, masks, masks)
    with pytest.raises(
        SplatsegError, match=r"sam_data\.hdf5 has masks of 2 images .* capture has 3 photos"
    ):
        read_masks(tmp_path, photos)


def test_a_pixel_in_no_mask_and_an_image_without_masks(tmp_path, photos):
    keys = [np.full((6, 8, 2), -1), np.zeros((6, 8, 0), int), np.full((6, 8, 1), 2**40)]
    hdf5(tmp_path / "sam_data.hdf5", numbered(keys))
    assert [len(segments) for _, segments in read_masks(tmp_path, photos)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "holds nothing; expected one group with pixel_level_keys"),
        ({"a": 1, "b/c": 1}, "holds a, b; expected one group"),
        ({"a/pixel_level_keys/0": 1, "b/pixel_level_keys/0": 1}, "holds /a, /b; .* several"),
        ({"a/pixel_level_keys/1": 1}, "does not number the images under /a/pixel_level_keys"),
        ({"a/pixel_level_keys/x": 1}, "does not number the images"),
    ],
)
def test_another_hdf5_is_refused_by_name(tmp_path, photos, content, reason):
    hdf5(tmp_path / "sam_data.hdf5", content)
    with pytest.raises(SplatsegError, match=rf"sam_data\.hdf5 {reason}"):
        read_masks(tmp_path, photos)


@pytest.mark.parametrize(
    "keys",
    [np.zeros((6, 8), int), np.zeros((6, 8, 1)), np.zeros((6, 8, 1), bool), np.array([b"a"]), 3],
)
def test_keys_of_another_shape_or_kind_are_refused(tmp_path, photos, keys):
    hdf5(tmp_path / "sam_data.hdf5", numbered([keys] * 3))
    found = read_masks(tmp_path, photos)
    with pytest.raises(SplatsegError, match=r"sam_data\.hdf5 holds no ids \[height, width, n\] in"):
        list(found)


def test_too_many_masks_are_refused(tmp_path, photos):
    hdf5(tmp_path / "sam_data.hdf5", numbered([np.arange(65536).reshape(256, 256, 1)] * 3))
    with pytest.raises(SplatsegError, match=r"pixel_level_keys/0\) holds 65536 masks"):
        list(read_masks(tmp_path, photos))


def test_two_files_in_a_folder_need_a_name(tmp_path, photos, masks):
    for name in ("a.hdf5", "b.h5"):
        garfield(tmp_path, masks, name=name)
    with pytest.raises(SplatsegError, match="masks of no known format"):
        read_masks(tmp_path, photos)
    with pytest.raises(SplatsegError, match=r"or several \.hdf5 files; name one"):
        read_masks(tmp_path, photos, "garfield")
    assert len(read_masks(tmp_path / "a.hdf5", photos)) == 3


def test_without_h5py_the_extra_is_named(tmp_path, photos, masks, monkeypatch):
    garfield(tmp_path, masks)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SplatsegError, match=r"needs h5py: pip install splatseg\[formats\]"):
        read_masks(tmp_path, photos)
