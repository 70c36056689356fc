"""Photo files of every kind come out as the 8-bit RGB that a viewer would show."""

import struct
import sys
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image

from splatseg.capture.photo import (
    HEIC_SUFFIXES,
    UnreadablePhoto,
    can_read_heic,
    check_photo,
    is_plain,
    lens_tags,
    photo_size,
    read_photo,
    same_shape,
    write_plain,
)
from splatseg.errors import SplatsegError

LEVELS = 1  # of 255: what color conversions round
JPEG_LEVELS = 12  # what JPEG changes in the ramp at quality 95
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


def test_a_hundred_megapixels_do_not_warn(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (10000, 10000)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert photo_size(path) == (10000, 10000) and not is_plain(path)


def exif(orientation: int = 1) -> Image.Exif:
    """As a phone writes it, with much that need not be kept."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = "Maker", "Phone 7"
    details = tags.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    details[ExifTags.Base.FocalLength] = 4.25
    details[ExifTags.Base.MakerNote] = b"x" * 40000
    return tags


def write_png16(path: Path, pixels: np.ndarray) -> None:
    """RGB of 16 bits, which Pillow reads but does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + checksum
    path.write_bytes(content)


MODES = {  # how a mode is made of gray
    "L": lambda gray: gray,
    "RGB": lambda gray: gray.convert("RGB"),
    "CMYK": lambda gray: gray.convert("RGB").convert("CMYK"),
    "P": lambda gray: gray.convert("P"),
    "LA": lambda gray: gray.convert("LA"),
    "RGBA": lambda gray: gray.convert("RGBA"),
    "1": lambda gray: gray.point(lambda level: 255 * (level > 127)).convert("1"),
    "I;16": lambda gray: Image.fromarray(np.asarray(gray).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(
    ("mode", "suffix", "plain_already"),
    [
        ("L", "png", True),
        ("RGB", "png", True),
        ("RGB", "jpg", True),
        ("L", "jpg", True),
        ("CMYK", "tif", False),
        ("CMYK", "jpg", False),
        ("P", "png", False),
        ("LA", "png", False),
        ("RGBA", "png", False),
        ("1", "png", False),
        ("I;16", "png", False),
    ],
)
def test_modes_become_rgb_and_plain(mode, suffix, plain_already, lossless, tmp_path):
    """Whatever is transparent is shown."""
    path, plain = tmp_path / f"a.{suffix}", tmp_path / "plain"
    ramp = np.repeat(np.repeat(RAMP, 8, axis=0), 8, axis=1)
    stored = MODES[mode](Image.fromarray(ramp))
    assert stored.mode == mode
    if "A" in mode:
        stored.putalpha(Image.fromarray(ramp))
    elif mode == "P":
        stored.info["transparency"] = bytes(range(256))
    stored.save(path, quality=95)
    check_photo(path)
    assert is_plain(path) == plain_already
    write_plain(path, plain, lossless=lossless)
    assert is_plain(plain) and photo_size(plain) == (48, 32)
    a, b = (read_photo(each, like=(48, 32)).astype(int) for each in (path, plain))
    expected = np.where(ramp > 127, 255, 0) if mode == "1" else ramp
    assert np.abs(a - expected[..., None]).max() <= (JPEG_LEVELS if suffix == "jpg" else LEVELS)
    assert np.abs(a - b).max() <= (0 if lossless else JPEG_LEVELS)


def test_sixteen_bit_rgb(tmp_path):
    path, plain = tmp_path / "a.png", tmp_path / "plain.png"
    rgb = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
    write_png16(path, rgb.astype(np.uint16) * 257)
    assert (read_photo(path, like=(6, 4)) == rgb).all() and not is_plain(path)
    write_plain(path, plain, lossless=True)
    assert is_plain(plain) and (read_photo(plain, like=(6, 4)) == rgb).all()


def bright_corner(path: Path, like: tuple[int, int]) -> int:
    """Top left, top right, bottom left, bottom right."""
    corners = read_photo(path, like=like)[[4, 4, -4, -4], [4, -4, 4, -4], 0] > 128
    assert corners.sum() == 1
    return corners.tolist().index(True)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_follows_the_size_that_poses_are_for(orientation, suffix, tmp_path):
    """Plain photos are upright and keep the focal length."""
    path, plain = tmp_path / f"a{suffix}", tmp_path / "plain.jpg"
    stored = np.zeros((32, 48, 3), dtype=np.uint8)
    stored[:16, :16] = 255  # the top left corner as stored
    Image.fromarray(stored).save(path, exif=exif(orientation), quality=95)
    corner = [0, 1, 3, 2, 0, 1, 3, 2][orientation - 1]  # where EXIF puts it
    upright = (32, 48) if orientation >= 5 else (48, 32)
    assert photo_size(path) == photo_size(path, like=(48, 32)) == (48, 32)
    assert photo_size(path, like=(32, 48)) == upright
    assert bright_corner(path, (24, 16)) == 0
    assert orientation < 5 or bright_corner(path, upright) == corner
    assert is_plain(path) == (orientation == 1)
    write_plain(path, plain, lossless=False)
    assert photo_size(plain) == upright and bright_corner(plain, upright) == corner
    with Image.open(plain) as image:
        assert ExifTags.Base.Orientation not in image.getexif()
        details = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert details[ExifTags.Base.FocalLengthIn35mmFilm] == 26
    assert plain.stat().st_size < 5000  # without the maker's note
    assert lens_tags(path) == lens_tags(plain) and "4.25" in lens_tags(path)[1]
    Image.fromarray(stored).save(plain)
    assert lens_tags(path) != lens_tags(plain)


@pytest.mark.parametrize(
    ("mode", "suffix", "kept"), [("RGB", "webp", b"a profile"), ("CMYK", "jpg", None)]
)
def test_color_profiles_are_kept_for_rgb_only(mode, suffix, kept, tmp_path):
    path, plain = tmp_path / f"a.{suffix}", tmp_path / "plain.jpg"
    Image.fromarray(RAMP).convert(mode).save(path, icc_profile=b"a profile")
    write_plain(path, plain, lossless=False)
    with Image.open(plain) as image:
        assert image.info.get("icc_profile") == kept


def test_unreadable_photos_are_named_without_reading_their_pixels(tmp_path):
    whole, cut, text = tmp_path / "whole.jpg", tmp_path / "cut.jpg", tmp_path / "text.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(whole, quality=95)
    cut.write_bytes(whole.read_bytes()[:-20000])
    text.write_text("not a photo")
    check_photo(whole)
    with pytest.raises(UnreadablePhoto, match=r"cut\.jpg cannot be read as a photo \(.*trunc"):
        check_photo(cut)
    assert photo_size(cut) == (256, 256)  # the header is intact
    for path in (cut, text, tmp_path / "none.jpg"):
        with pytest.raises(SplatsegError, match=rf"{path.name} cannot be read as a photo"):
            read_photo(path, like=(256, 256))


@pytest.fixture
def heic_asked_for_again():
    can_read_heic.cache_clear()
    yield
    can_read_heic.cache_clear()


@pytest.mark.usefixtures("heic_asked_for_again")
def test_heic_with_a_reader(monkeypatch, tmp_path):
    calls = []
    fake = SimpleNamespace(register_heif_opener=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", fake)
    path = tmp_path / "a.HEIC"
    Image.fromarray(RAMP).save(path, format="PNG")
    assert photo_size(path) == (6, 4) and calls == [1]
    assert (read_photo(path, like=(6, 4))[..., 0] == RAMP).all()


@pytest.mark.usefixtures("heic_asked_for_again")
@pytest.mark.parametrize("suffix", sorted(HEIC_SUFFIXES))
def test_heic_without_a_reader(suffix, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SplatsegError, match=r"pip install pillow-heif, or export"):
        photo_size(tmp_path / f"a{suffix}")
