"""Photo files of every kind come out as the 8-bit RGB that a viewer would show."""

import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
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


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16"])
def test_modes_become_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        stored = Image.fromarray(RAMP.astype(np.uint16) * 257)
    else:
        gray = Image.fromarray(RAMP)
        stored = gray.convert("RGB").convert(mode) if mode == "CMYK" else gray.convert(mode)
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

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_sixteen_bit_rgb(tmp_path):
    path, plain = tmp_path / "a.png", tmp_path / "plain.png"
    rgb = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
    write_png16(path, rgb.astype(np.uint16) * 257)
    assert (read_photo(path, like=(6, 4)) == rgb).all()
    assert not is_plain(path)
    write_plain(path, plain, lossless=True)
    assert is_plain(plain) and (read_photo(plain, like=(6, 4)) == rgb).all()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA"])
def test_transparency_is_dropped(mode, tmp_path):
    path, plain = tmp_path / "a.png", tmp_path / "plain.png"
    if mode == "P":
        stored = Image.fromarray(RAMP).convert("P")
        stored.info["transparency"] = bytes(range(256))
    else:
        stored = Image.fromarray(RAMP).convert(mode)
        stored.putalpha(Image.fromarray(RAMP))
    stored.save(path)
    assert not is_plain(path)
    write_plain(path, plain, lossless=True)
    for each in (path, plain):
        assert np.abs(read_photo(each, like=(6, 4)).astype(int) - RAMP[..., None]).max() <= LEVELS


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "1", "I;16", "P"])
def test_plain_photos(mode, tmp_path):
    suffix = "jpg" if mode in ("RGB", "L", "CMYK") else "png"
    path, plain = tmp_path / f"a.{suffix}", tmp_path / "plain"
    gray = Image.fromarray(np.repeat(np.repeat(RAMP, 8, axis=0), 8, axis=1))
    if mode == "I;16":
        gray = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    elif mode == "1":
        gray = gray.point(lambda level: 255 * (level > 127)).convert("1")
    else:
        gray = gray.convert("P") if mode == "P" else gray.convert("RGB").convert(mode)
    gray.save(path, quality=95)
    check_photo(path)
    assert is_plain(path) == (mode in ("RGB", "L"))
    write_plain(path, plain, lossless=False)
    assert is_plain(plain) and photo_size(plain) == (48, 32)
    a, b = (read_photo(each, like=(48, 32)).astype(int) for each in (path, plain))
    assert np.abs(a - b).max() <= JPEG_LEVELS


@pytest.mark.parametrize("orientation", range(1, 9))
def test_plain_photos_are_upright_and_keep_the_focal_length(orientation, tmp_path):
    path, plain = tmp_path / "a.jpg", tmp_path / "plain.jpg"
    stored = np.zeros((32, 48, 3), dtype=np.uint8)
    stored[:16, :16] = 255
    Image.fromarray(stored).save(path, exif=exif(orientation), quality=95)
    assert is_plain(path) == (orientation == 1)
    write_plain(path, plain, lossless=False)
    width, height = photo_size(plain)
    assert (width, height) == ((32, 48) if orientation >= 5 else (48, 32))
    corners = read_photo(plain, like=(width, height))[[4, 4, -4, -4], [4, -4, 4, -4], 0] > 128
    # Where EXIF's 1 to 8 put the stored corner: top left, top right, bottom left, bottom right.
    assert corners.tolist().index(True) == [0, 1, 3, 2, 0, 1, 3, 2][orientation - 1]
    with Image.open(plain) as image:
        assert ExifTags.Base.Orientation not in image.getexif()
        details = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert details[ExifTags.Base.FocalLengthIn35mmFilm] == 26
    assert plain.stat().st_size < 5000  # without the maker's note
    assert lens_tags(path) == lens_tags(plain)


def test_lens_tags_tell_lenses_apart(tmp_path):
    bare, wide = tmp_path / "bare.jpg", tmp_path / "wide.jpg"
    Image.fromarray(RAMP).save(bare)
    Image.fromarray(RAMP).save(wide, exif=exif())
    assert lens_tags(bare) != lens_tags(wide) and "4.25" in lens_tags(wide)[1]


def test_color_profiles_are_kept_for_rgb_only(tmp_path):
    path, plain = tmp_path / "a.webp", tmp_path / "plain.jpg"
    Image.fromarray(RAMP).convert("RGB").save(path, icc_profile=b"a profile")
    write_plain(path, plain, lossless=False)
    with Image.open(plain) as image:
        assert image.info["icc_profile"] == b"a profile"
    path = tmp_path / "cmyk.jpg"
    Image.fromarray(RAMP).convert("CMYK").save(path, icc_profile=b"for ink")
    write_plain(path, plain, lossless=False)
    with Image.open(plain) as image:
        assert "icc_profile" not in image.info


def test_a_hundred_megapixels_do_not_warn(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (10000, 10000)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert photo_size(path) == (10000, 10000) and not is_plain(path)


def test_a_photo_cut_short_is_found_without_its_pixels(tmp_path):
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(whole, quality=95)
    cut.write_bytes(whole.read_bytes()[:-20000])
    check_photo(whole)
    with pytest.raises(UnreadablePhoto, match=r"cut\.jpg cannot be read as a photo \(.*trunc"):
        check_photo(cut)


@pytest.fixture
def heic_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A pillow_heif that reads PNG; what it was asked to do."""
    calls: list[int] = []
    fake = SimpleNamespace(register_heif_opener=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", fake)
    can_read_heic.cache_clear()
    yield calls
    can_read_heic.cache_clear()


def test_heic_with_a_reader(heic_reader, tmp_path):
    path = tmp_path / "a.HEIC"
    Image.fromarray(RAMP).save(path, format="PNG")
    assert photo_size(path) == (6, 4)
    assert (read_photo(path, like=(6, 4))[..., 0] == RAMP).all()
    assert heic_reader == [1]


@pytest.mark.parametrize("suffix", sorted(HEIC_SUFFIXES))
def test_heic_without_a_reader(suffix, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    can_read_heic.cache_clear()
    with pytest.raises(SplatsegError, match=r"pip install pillow-heif, or export"):
        photo_size(tmp_path / f"a{suffix}")
    can_read_heic.cache_clear()
