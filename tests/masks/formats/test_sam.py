"""SAM's folders of PNGs with a table, and its lists of run lengths."""

import json

import numpy as np
import pytest
from builders.mask_files import QUALITIES, sam_folder, sam_list
from PIL import Image

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
    [(frame, alone)] = read_masks(tmp_path / "0002", photos)
    assert frame == "cam0/0002" and np.array_equal(alone.masks(), masks[::-1])


@pytest.mark.parametrize("write", [sam_folder, sam_list])
@pytest.mark.parametrize("indent", [None, 1])
def test_masks_keep_their_order_and_qualities(tmp_path, photos, masks, write, indent):
    path = write(tmp_path, masks)
    if write is sam_list:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    [(frame, segments)] = read_masks(tmp_path, photos)
    assert frame == "cam0/0001" and np.array_equal(segments.masks(), masks)
    qualities = zip(segments.predicted_iou, segments.stability_score, strict=True)
    assert list(qualities) == QUALITIES
