"""Names that tools give to pictures, and the photos they stand for."""

import logging

import pytest

from splatseg.errors import SplatsegError
from splatseg.masks.formats.matching import Entry, Photo, match

SIZE = (8, 6)


def photos_of(*files):
    return {name.rsplit(".", 1)[0]: Photo(name, SIZE) for name in files}


def matched(names, photos, source):
    entries = [Entry(name, f"{name}.png", lambda size: None) for name in names]
    return {frame: entry.name for frame, entry in match(source, entries, photos).items()}


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("cam0/0001.jpg", "cam0/0001"),
        ("cam0/0001.png", "cam0/0001"),  # masks drawn on a copy in another format
        ("cam0/0001", "cam0/0001"),
        ("./cam0/0001", "cam0/0001"),
        ("cam0/0001.", "cam0/0001"),  # 0001.jpeg less four characters
        ("cam0\\0001.jpg", "cam0/0001"),
        ("images/cam0/0001.jpg", "cam0/0001"),
        ("..\\..\\media\\upload\\4\\cam0\\0001.jpg", "cam0/0001"),
        ("data/images_4/cam1/0001.jpg", "cam1/0001"),
        ("0002", "cam0/0002"),
        ("elsewhere/0002.JPG", "cam0/0002"),
        ("IMG.3.v2.JPG", "cam1/IMG.3.v2"),
        ("IMG.3.v2", "cam1/IMG.3.v2"),
        ("IMG", "cam1/IMG.3.v2"),  # CGC, Gaussian Grouping and SAGA cut at the first dot
        ("images\\3fa85f64-0002.jpg", "cam0/0002"),
        ("1/17-3fa85f64-0002.jpg", "cam0/0002"),
        ("3fa85f64-my_photo_1.jpg", "cam1/my photo (1)"),
        ("0001", None),  # in both folders
        ("IMG.3", "cam1/IMG.3.v2"),
        ("x0002", None),
        ("3fa85f64_0002.jpg", None),
        ("3fa85f6-0002.jpg", None),
        ("0003", None),
    ],
)
def test_a_name_finds_its_photo(tmp_path, name, frame):
    photos = photos_of(
        "cam0/0001.jpg", "cam1/0001.jpg", "cam0/0002.jpg", "cam1/IMG.3.v2.JPG",
        "cam1/my photo (1).jpg", "other.png",
    )  # fmt: skip
    found = matched([name, "other"], photos, tmp_path)
    assert found == {"other": "other"} | ({} if frame is None else {frame: name})


def test_the_closest_agreement_wins(tmp_path, caplog):
    found = matched(["old/0001", "0001"], photos_of("0001.jpg"), tmp_path)
    assert found == {"0001": "0001"}
    assert "masks of 1 pictures belong to no photo of the capture and are left out: old/0001" in (
        caplog.text
    )


def test_two_masks_of_one_photo_are_refused(tmp_path):
    with pytest.raises(
        SplatsegError, match=r"left/0001\.png and right/0001\.png both fit the photo 0001; remove"
    ):
        matched(["left/0001", "right/0001"], photos_of("0001.jpg"), tmp_path)


def test_what_is_left_over_is_told_within_bounds(tmp_path, caplog):
    photos = photos_of(*(f"{k}.jpg" for k in range(3)))
    with caplog.at_level(logging.INFO):
        matched(["0", *(f"x{k}" for k in range(9))], photos, tmp_path)
    assert "9 pictures belong to no photo" in caplog.text
    assert "x0, x1, x2, x3, x4, …" in caplog.text and "x5" not in caplog.text
    assert "2 of 3 photos have no masks" in caplog.text


@pytest.mark.parametrize(
    ("names", "files", "reason"),
    [
        (["a", "b"], ["c.jpg"], r"none of the capture's 1 photos: .* is a, a photo is c\.jpg;"),
        ([], ["c.jpg"], "its first picture is none at all"),
        (["a"], [], "a photo is none at all"),
    ],
)
def test_nothing_in_common_is_refused_with_an_example(tmp_path, names, files, reason):
    with pytest.raises(SplatsegError, match=reason):
        matched(names, photos_of(*files), tmp_path)
