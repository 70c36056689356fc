"""Label maps of one channel, of palettes and of colors."""

import numpy as np
import pytest
from builders.mask_files import as_colors
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import write_label_map
from splatseg.masks.formats import read_masks

LABELS = np.array([[0, 0, 3, 3], [7, 7, 3, 0], [7, 7, 0, 0]])


@pytest.fixture
def photo(photos):
    return {"0001": photos["cam0/0001"]._replace(file_name="0001.jpg", size=(4, 3))}


def save_gray(path, labels):
    write_label_map(path, labels)


def save_palette(path, labels):
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(list(range(30)))
    image.save(path)


def save_color(path, labels):
    Image.fromarray(as_colors(labels)).save(path)


@pytest.mark.parametrize(
    ("save", "factor"), [(save_gray, 1), (save_gray, 9000), (save_palette, 1), (save_color, 70007)]
)
@pytest.mark.parametrize("name", ["0001.png", "0001.jpg.png", "0001..png", "deep/0001.PNG"])
def test_each_label_is_a_segment(tmp_path, photo, save, factor, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    save(tmp_path / name, factor * LABELS)
    [(frame, segments)] = read_masks(tmp_path, photo)
    assert frame == "0001"
    assert np.array_equal(segments.masks(), [LABELS == 3, LABELS == 7])
    assert np.isnan(segments.predicted_iou).all()


def test_the_same_label_in_two_views_is_two_segments(tmp_path, photos):
    for name in ("0001", "0002"):
        write_label_map(tmp_path / f"{name}.png", np.full((6, 8), 5))
    assert [len(segments) for _, segments in read_masks(tmp_path, photos)] == [1, 1]


def test_a_photo_is_no_label_map(tmp_path, photos):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0001.png")
    with pytest.raises(SplatsegError, match=r"0001\.png has 4\d\d\d labels in 4800 pixels"):
        list(read_masks(tmp_path, photos))


def test_too_many_labels_are_refused(tmp_path, photos):
    labels = np.arange(65536).repeat(16).reshape(1024, 1024) + 1
    Image.fromarray(as_colors(labels)).save(tmp_path / "0001.png", compress_level=1)
    with pytest.raises(SplatsegError, match=r"0001\.png holds 65536 masks; expected at most 65535"):
        list(read_masks(tmp_path, photos))


def test_transparency_is_refused(tmp_path, photos):
    Image.new("RGBA", (8, 6)).save(tmp_path / "0001.png")
    with pytest.raises(SplatsegError, match=r"0001\.png is a RGBA image"):
        list(read_masks(tmp_path, photos))
