"""Photos come into `images/` unchanged where they can, and what cannot be used is named."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from builders.progress import Recorder
from PIL import ExifTags, Image

from splatseg.capture.photo import can_read_heic, is_plain
from splatseg.errors import SplatsegError
from splatseg.sfm.gather import default_capture, find_photos, gather, is_in_place, natural_key


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8))


def write(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path)


def gathered(source: Path, root: Path, progress: Recorder | None = None) -> list[str]:
    return list(gather(source, root, find_photos(source, root), progress or Recorder()))


def files(root: Path) -> list[str]:
    folder = root / "images"
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_natural_order() -> None:
    names = ["img10", "img2", "b", "img2b", "10", "9", "a/2", "a/10", "img02"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["9", "10", "a/2", "a/10", "b", "img2", "img02", "img2b", "img10"]


def test_where_the_capture_goes(tmp_path: Path) -> None:
    write(tmp_path, "desk/a.jpg", "made/images/a.jpg", "walk.1.mp4.jpg")
    assert default_capture(tmp_path / "desk") == tmp_path / "desk-capture"
    assert default_capture(tmp_path / "made") == tmp_path / "made"
    assert default_capture(tmp_path / "made" / "images") == tmp_path / "made"
    assert default_capture(tmp_path / "walk.1.mp4.jpg") == tmp_path / "walk.1.mp4-capture"


def test_plain_photos_are_copied_as_they_are_and_broken_ones_left_out(tmp_path: Path) -> None:
    source, root, progress = tmp_path / "photos", tmp_path / "photos/capture", Recorder()
    write(source, "img10.jpg", "img2.png", "cam0/1.JPG", "cam 1/1.jpeg")
    write(source, "._a.jpg", ".thumbnails/a.jpg", "folder.jpg/._a.jpg")  # hidden
    for name, content in (("cut.jpg", 700), ("empty.png", 0), ("notes.txt", 9)):
        (source / name).write_bytes((source / "img10.jpg").read_bytes()[:content])
    (source / "text.jpg").write_text("no photo")
    names = gathered(source, root, progress)
    assert names == ["cam0/1.JPG", "cam 1/1.jpeg", "img2.png", "img10.jpg"]
    assert names == gathered(source, root) and files(root) == sorted(names)
    for name in names:
        original, copy = source / name, root / "images" / name
        assert copy.read_bytes() == original.read_bytes() and not copy.samefile(original)
        assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert progress.updates == [("reading photos", done, 7) for done in range(8)]
    for name, note in zip(("cut.jpg", "empty.png", "text.jpg"), progress.notes, strict=True):
        assert f"{name} cannot be read as a photo" in note and note.endswith("it is left out")


def test_others_become_plain_and_only_what_is_new_is_copied_again(tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "capture"
    write(source, "a.webp", "b.tif", "c.bmp")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    picture().save(source / "d.jpg", exif=turned)
    picture().convert("CMYK").save(source / "e.jpg")
    picture().convert("P").save(source / "f.png")
    Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32) * 80).save(source / "g.png")
    expected = ["a.jpg", "b.png", "c.png", "d.jpg", "e.jpg", "f.png", "g.png"]
    assert gathered(source, root) == expected == files(root)
    assert all(is_plain(root / "images" / name) for name in expected)
    with Image.open(root / "images" / "b.png") as image:
        assert (np.asarray(image) == np.asarray(picture(1))).all()
    with Image.open(root / "images" / "d.jpg") as image:
        assert image.size == (24, 32)
    for name in expected:  # so that it shows which ones are written anew
        time = (root / "images" / name).stat().st_mtime_ns
        (root / "images" / name).write_bytes(b"seen")
        os.utime(root / "images" / name, ns=(0, time))
    write(source, "h.jpg")
    os.utime(source / "b.tif", ns=(0, 10**18))
    gathered(source, root)
    new = [name for name in files(root) if (root / "images" / name).read_bytes() != b"seen"]
    assert new == ["b.png", "h.jpg"]


@pytest.mark.parametrize("place", [".", "images", "images/cam0"])
def test_a_captures_own_photos_stay_where_they_are(place: str, tmp_path: Path) -> None:
    names = ["cam0/1.jpg", "cam0/2.jpg", "cam0/3.jpg"]
    write(tmp_path / "images", *names)
    before = [(tmp_path / "images" / name).stat().st_ino for name in names]
    assert is_in_place(tmp_path / place, tmp_path)
    assert gathered(tmp_path / place, tmp_path) == names == files(tmp_path)
    assert [(tmp_path / "images" / name).stat().st_ino for name in names] == before
    assert not is_in_place(tmp_path / "elsewhere", tmp_path)


@pytest.mark.parametrize(
    ("names", "broken", "place", "sentence"),
    [
        ("", "", "photos", r"photos does not exist; expected a folder"),
        ("a.jpg b.jpg", "", "photos", r"has 2 photos; expected at least 3"),
        ("a.jpg b.jpg", "c.jpg", "photos", r"has 2 photos and 1 that cannot be read"),
        ("a.jpg", "", "capture", r"is to be the capture but has no images folder"),
        ("x/a.jpg x/a.png", "", "photos", r"a\.jpg and a\.png would both be the frame x/a"),
        ("x/a.jpg x/a.png", "", "capture/images", r"would both be the frame x/a; remove or"),
        ("a.webp", "", "capture/images", r"a\.webp must be converted.*move the photos"),
        ("a.jpg", "d.HEIC e.heic", "photos", r"d\.HEIC is one of 2 HEIC.*pillow-heif"),
    ],
)
def test_photos_that_are_refused(names, broken, place, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    can_read_heic.cache_clear()
    write(tmp_path / place, *names.split())
    for name in broken.split():
        (tmp_path / place / name).touch()
    with pytest.raises(SplatsegError, match=sentence):
        gathered(tmp_path / place, tmp_path / "capture")
    can_read_heic.cache_clear()
