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
    saga(tmp_path / "sam_masks", content, _use_new_zipfile_serialization=zipped)
    [(frame, segments)] = read_masks(tmp_path / "sam_masks", photos)
    assert frame == "cam0/0001" and np.array_equal(segments.masks(), masks)
    assert np.isnan(segments.stability_score).all()


def test_the_name_ends_at_the_first_dot(tmp_path, photos, masks):
    saga(tmp_path, masks, "IMG.pt")
    assert [frame for frame, _ in read_masks(tmp_path, photos)] == ["cam1/IMG.3"]


@pytest.mark.parametrize("size", [(400, 300), (3000, 4000)])
def test_squashed_masks_are_stretched_back(tmp_path, caplog, size):
    """The first version's: an ellipse in the photo is drawn on 200 x 200 and comes back."""
    rows, columns = (np.arange(200) + 0.5) / 200, (np.arange(200) + 0.5) / 200

    def ellipse(rows, columns):
        return (((rows[:, None] - 0.4) / 0.3) ** 2 + ((columns - 0.6) / 0.2) ** 2) < 1

    saga(tmp_path, torch.from_numpy(ellipse(rows, columns)[None]).float())
    [(_, segments)] = read_masks(tmp_path, {"0001": Photo("0001.jpg", size)})
    width, height = segments.width, segments.height
    assert (width, height) == tuple(side / max(1, max(size) / 1000) for side in size)
    expected = ellipse((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width)
    found = segments.mask(0)
    assert (found & expected).sum() / (found | expected).sum() > 0.98
    assert caplog.text.count("squashed its masks to 200x200") == 1


def test_a_square_photos_masks_of_200_pixels_stay(tmp_path, caplog):
    saga(tmp_path, torch.ones(1, 200, 200))
    [(_, segments)] = read_masks(tmp_path, {"0001": Photo("0001.jpg", (800, 800))})
    assert (segments.width, segments.height) == (200, 200)
    assert "squashed" not in caplog.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (torch.zeros(6, 8), r"holds \[6, 8\]; expected masks \[n, height, width\]"),
        (torch.zeros(7), r"holds \[7\]"),
        (torch.zeros(1, 3, 0, 8), r"holds \[1, 3, 0, 8\]"),
        (torch.zeros(3, 0, 0), r"holds \[3, 0, 0\]"),
        ([torch.zeros(6, 8)], "holds a list"),
        ({"masks": 3}, "holds a dict"),
        (torch.full((2, 6, 8), 0.5), r"torch\.float32 tensor with values other than 0 and 1"),
        (torch.full((2, 6, 8), float("nan")), "values other than 0 and 1"),
        (torch.full((2, 6, 8), 255, dtype=torch.uint8), r"torch\.uint8 tensor with values other"),
        (torch.zeros(65536, 6, 8, dtype=torch.bool), "holds 65536 masks"),
    ],
)
def test_other_content_is_refused_by_name(tmp_path, photos, content, reason):
    saga(tmp_path, content)
    with pytest.raises(SplatsegError, match=rf"0001\.pt .*{reason}"):
        list(read_masks(tmp_path, photos))


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
