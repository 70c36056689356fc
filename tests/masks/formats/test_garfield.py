"""GARField's file: ids by pixel become masks, images without names become photos in order."""

import math
import sys

import h5py
import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.masks.formats import Photo, read_masks


def pixel_level_keys(masks):
    """[h, w, n]: at each pixel the ids of its masks, -1 for want of more; ids follow the area."""
    masks = sorted(masks, key=np.sum)
    depth = int(np.sum(masks, axis=0).max()) if masks else 0
    keys = np.full((*masks[0].shape, depth), -1, dtype=np.int64)
    for mask_id, mask in enumerate(masks):
        for row, column in zip(*np.nonzero(mask), strict=True):
            free = np.flatnonzero(keys[row, column] == -1)[0]
            keys[row, column, free] = mask_id
    return keys


def write(path, views, model="sam_hf"):
    with h5py.File(path, "a") as file:
        for index, masks in enumerate(views):
            keys = pixel_level_keys(masks)
            file[f"{model}/pixel_level_keys/{index}"] = keys
            file[f"{model}/scale_3d/{index}"] = np.ones((len(masks), 1), np.float32)
            file[f"{model}/group_cdf/{index}"] = np.ones(keys.shape, np.float32)


def only_mask(index):
    """A single pixel that tells which image it is of."""
    mask = np.zeros((1, 6, 8), dtype=bool)
    mask[0, index // 8 % 6, index % 8] = True
    return mask


def test_masks_come_back(tmp_path, photos, masks, as_set, caplog):
    write(tmp_path / "sam_data.hdf5", [masks, masks[:1], masks[1:]])
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
    write(tmp_path / "sam_data.hdf5", [only_mask(k) for k in range(12)])
    for frame, segments in read_masks(tmp_path / "sam_data.hdf5", photos):
        assert np.array_equal(segments.masks(), only_mask(int(frame)))


def test_photos_that_garfield_holds_out_have_no_masks(tmp_path):
    """As nerfstudio splits: evenly spaced, the first and the last for training."""
    total = 150
    photos = {f"{k:03}": Photo(f"{k:03}.jpg", (8, 6)) for k in range(total)}
    chosen = np.linspace(0, total - 1, math.ceil(total * 0.99), dtype=int)
    assert len(chosen) == 149
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        for index in range(len(chosen)):
            file[f"sam_fb/pixel_level_keys/{index}"] = np.zeros((6, 8, 1), int)
    found = read_masks(tmp_path, photos)
    assert sorted(found.entries) == [f"{k:03}" for k in chosen]
    assert {int(entry.name) for entry in found.entries.values()} == set(range(149))


def test_another_number_of_photos_is_refused(tmp_path, photos, masks):
    write(tmp_path / "sam_data.hdf5", [masks] * 2)
    with pytest.raises(
        SplatsegError, match=r"sam_data\.hdf5 has masks of 2 images .* capture has 3 photos"
    ):
        read_masks(tmp_path, photos)


def test_a_pixel_in_no_mask_and_an_image_without_masks(tmp_path, photos):
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        file["sam_hf/pixel_level_keys/0"] = np.full((6, 8, 2), -1)
        file["sam_hf/pixel_level_keys/1"] = np.zeros((6, 8, 0), int)
        file["sam_hf/pixel_level_keys/2"] = np.full((6, 8, 1), 2**40)
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
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        for name, value in content.items():
            file[name] = value
    with pytest.raises(SplatsegError, match=rf"sam_data\.hdf5 {reason}"):
        read_masks(tmp_path, photos)


@pytest.mark.parametrize(
    "keys",
    [np.zeros((6, 8), int), np.zeros((6, 8, 1)), np.zeros((6, 8, 1), bool), np.array([b"a"]), 3],
)
def test_keys_of_another_shape_or_kind_are_refused(tmp_path, photos, keys):
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        for index in range(3):
            file[f"sam_hf/pixel_level_keys/{index}"] = keys
    found = read_masks(tmp_path, photos)
    with pytest.raises(SplatsegError, match=r"sam_data\.hdf5 holds no ids \[height, width, n\] in"):
        list(found)


def test_too_many_masks_are_refused(tmp_path, photos):
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        for index in range(3):
            file[f"sam_hf/pixel_level_keys/{index}"] = np.arange(65536).reshape(256, 256, 1)
    with pytest.raises(SplatsegError, match=r"pixel_level_keys/0\) holds 65536 masks"):
        list(read_masks(tmp_path, photos))


def test_a_truncated_file_is_refused(tmp_path, photos, masks):
    path = tmp_path / "sam_data.hdf5"
    write(path, [masks] * 3)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SplatsegError, match=r"sam_data\.hdf5 cannot be read as HDF5"):
            list(read_masks(tmp_path, photos))


def test_two_files_in_a_folder_need_a_name(tmp_path, photos, masks):
    for name in ("a.hdf5", "b.h5"):
        write(tmp_path / name, [masks] * 3)
    with pytest.raises(SplatsegError, match="masks of no known format"):
        read_masks(tmp_path, photos)
    with pytest.raises(SplatsegError, match=r"or several \.hdf5 files; name one"):
        read_masks(tmp_path, photos, "garfield")
    assert len(read_masks(tmp_path / "a.hdf5", photos)) == 3


def test_without_h5py_the_extra_is_named(tmp_path, photos, masks, monkeypatch):
    write(tmp_path / "sam_data.hdf5", [masks] * 3)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SplatsegError, match=r"needs h5py: pip install splatseg\[formats\]"):
        read_masks(tmp_path, photos)
