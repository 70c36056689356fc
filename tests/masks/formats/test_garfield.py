"""GARField's file: ids by pixel become masks, images without names become photos in order."""

import math
import sys

import numpy as np
import pytest
from builders.mask_files import garfield, hdf5

from splatseg.errors import SplatsegError
from splatseg.masks.formats import Photo, read_masks


def test_masks_come_back(tmp_path, photos, masks, as_set, caplog):
    views = (masks, masks[:1], masks[1:])
    garfield(tmp_path, *views)
    found = dict(read_masks(tmp_path, photos))
    assert list(found) == ["cam0/0001", "cam0/0002", "cam1/IMG.3"]
    assert [as_set(each.masks()) for each in found.values()] == [as_set(view) for view in views]
    assert (
        "names no photo: its 3 images are taken for the capture's in order of name, the first for "
        "cam0/0001, the last for cam1/IMG.3" in caplog.text
    )


def test_images_past_the_ninth_are_in_order_of_number(tmp_path):
    photos = {f"{k:02}": Photo(f"{k:02}.jpg", (8, 6)) for k in reversed(range(12))}
    dots = np.eye(12, 48, dtype=bool).reshape(12, 1, 6, 8)
    garfield(tmp_path, *dots)
    for frame, segments in read_masks(tmp_path / "sam_data.hdf5", photos):
        assert np.array_equal(segments.masks(), dots[int(frame)])


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


def test_a_pixel_in_no_mask_and_an_image_without_masks(tmp_path, photos):
    keys = [np.full((6, 8, 2), -1), np.zeros((6, 8, 0), int), np.full((6, 8, 1), 2**40)]
    numbered = {f"sam_hf/pixel_level_keys/{index}": values for index, values in enumerate(keys)}
    hdf5(tmp_path / "sam_data.hdf5", numbered)
    assert [len(segments) for _, segments in read_masks(tmp_path, photos)] == [0, 0, 1]


def test_without_h5py_the_extra_is_named(tmp_path, photos, masks, monkeypatch):
    garfield(tmp_path, masks)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SplatsegError, match=r"needs h5py: pip install splatseg\[formats\]"):
        read_masks(tmp_path, photos)
