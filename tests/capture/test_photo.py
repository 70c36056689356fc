"""Photo files of every kind come out as the 8-bit RGB that a viewer would show."""

import numpy as np
import pytest
from PIL import Image

from splatseg.capture.photo import photo_size, read_photo, same_shape
from splatseg.errors import SplatsegError

LEVELS = 1  # of 255: what colour conversions round
RAMP = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((640, 480), (640, 480), True),
        ((640, 480), (320, 240), True),
        ((953, 535), (1906, 1070), True),
        ((1907, 1071), (954, 536), True),  # rounded up
        ((1907, 1071), (953, 535), True),  # rounded down
        ((640, 480), (480, 640), False),
        ((640, 480), (640, 360), False),
        ((640, 480), (320, 238), False),
    ],
)
def test_same_shape(a, b, expected):
    assert same_shape(a, b) == same_shape(b, a) == expected


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16"])
def test_modes_become_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        stored = Image.fromarray(RAMP.astype(np.uint16) * 257)
    else:
        grey = Image.fromarray(RAMP)
        stored = grey.convert("RGB").convert(mode) if mode == "CMYK" else grey.convert(mode)
    assert stored.mode == mode
    stored.save(path)
    pixels = read_photo(path, like=(6, 4))
    expected = np.where(RAMP > 127, 255, 0) if mode == "1" else RAMP
    tolerance = 255 if mode == "1" else LEVELS  # dithered
    assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected[..., None]).max() <= tolerance


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_follows_the_size_that_poses_are_for(orientation, suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((32, 48, 3), dtype=np.uint8)
    stored[:16, :16] = 255  # the top left corner as stored
    Image.fromarray(stored).save(path, exif=exif, quality=95)
    assert photo_size(path) == photo_size(path, like=(48, 32)) == (48, 32)
    assert read_photo(path, like=(24, 16))[4, 4, 0] > 250
    turned = orientation >= 5
    assert photo_size(path, like=(32, 48)) == ((32, 48) if turned else (48, 32))
    if turned:
        corners = read_photo(path, like=(32, 48))[[4, 4, -4, -4], [4, -4, 4, -4], 0] > 128
        # EXIF's 5 to 8 put the stored corner at the top left, top right, bottom right, bottom left.
        assert corners.tolist().index(True) == [0, 1, 3, 2][orientation - 5]


def test_unreadable_photos_are_named(tmp_path):
    whole, cut, text = tmp_path / "whole.jpg", tmp_path / "cut.jpg", tmp_path / "text.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    cut.write_bytes(whole.read_bytes()[:2000])
    text.write_text("not a photo")
    assert photo_size(cut) == (64, 64)  # the header is intact
    for path in (cut, text, tmp_path / "none.jpg"):
        with pytest.raises(SplatsegError, match=rf"{path.name} cannot be read as a photo"):
            read_photo(path, like=(64, 64))
