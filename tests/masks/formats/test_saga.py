"""SegAnyGAussians' tensors, of either version, and what is no such tensor."""

import os
import pickle

import numpy as np
import pytest
import torch
from builders.mask_files import saga

from splatseg.errors import SplatsegError
from splatseg.masks.formats import Photo, read_masks


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.float16])
@pytest.mark.parametrize("zipped", [True, False])
def test_each_layer_is_a_segment(tmp_path, photos, masks, dtype, zipped):
    content = torch.from_numpy(masks).to(dtype)
    saga(tmp_path, content, "IMG.pt", _use_new_zipfile_serialization=zipped)
    [(frame, segments)] = read_masks(tmp_path, photos)
    assert frame == "cam1/IMG.3" and np.array_equal(segments.masks(), masks)


@pytest.mark.parametrize("size", [(400, 300), (3000, 4000), (800, 800)])
def test_squashed_masks_are_stretched_back(tmp_path, caplog, size):
    """The first version's: an ellipse in the photo is drawn on 200 x 200 and comes back."""

    def ellipse(width, height):
        rows, columns = (
            (np.arange(height)[:, None] + 0.5) / height,
            (np.arange(width) + 0.5) / width,
        )
        return ((rows - 0.4) / 0.3) ** 2 + ((columns - 0.6) / 0.2) ** 2 < 1

    saga(tmp_path, torch.from_numpy(ellipse(200, 200)[None]).float())
    [(_, segments)] = read_masks(tmp_path, {"0001": Photo("0001.jpg", size)})
    is_square = size[0] == size[1]
    factor = 4 if is_square else max(1, max(size) / 1000)
    assert (segments.width, segments.height) == (size[0] / factor, size[1] / factor)
    found, expected = segments.mask(0), ellipse(segments.width, segments.height)
    assert (found & expected).sum() / (found | expected).sum() > 0.98
    assert caplog.text.count("squashed its masks to 200x200") == (not is_square)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize("write", [torch.save, lambda trap, path: path.write_bytes(trap)])
def test_nothing_is_unpickled(tmp_path, photos, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    trap = Trap() if write is torch.save else pickle.dumps(Trap())
    write(trap, tmp_path / "0001.pt")
    with pytest.raises(SplatsegError, match="as a tensor, and nothing else is unpickled"):
        list(read_masks(tmp_path, photos))
    assert not (tmp_path / "trapped").exists()
