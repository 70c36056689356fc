"""Label maps of one channel, of palettes and of colors."""

import numpy as np
import pytest
from builders.mask_files import as_colors
from PIL import Image

from splatseg.masks import write_label_map
from splatseg.masks.formats import Photo, read_masks

LABELS = np.array([[0, 0, 3, 3], [7, 7, 3, 0], [7, 7, 0, 0]])


def save_palette(path, labels):
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(list(range(30)))
    image.save(path)


def save_color(path, labels):
    Image.fromarray(as_colors(labels)).save(path)


@pytest.mark.parametrize(
    ("save", "factor"),
    [(write_label_map, 1), (write_label_map, 9000), (save_palette, 1), (save_color, 70007)],
)
@pytest.mark.parametrize("name", ["0001.png", "0001.jpg.png", "0001..png", "deep/0001.PNG"])
def test_each_label_is_a_segment(tmp_path, save, factor, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    save(tmp_path / name, factor * LABELS)
    [(frame, segments)] = read_masks(tmp_path, {"0001": Photo("0001.jpg", (4, 3))})
    assert frame == "0001"
    assert np.array_equal(segments.masks(), [LABELS == 3, LABELS == 7])


def test_the_same_label_in_two_views_is_two_segments(tmp_path, photos):
    for name in ("0001", "0002"):
        write_label_map(tmp_path / f"{name}.png", np.full((6, 8), 5))
    assert [len(segments) for _, segments in read_masks(tmp_path, photos)] == [1, 1]
