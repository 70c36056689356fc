"""Names that tools give to pictures, and the photos they stand for."""

import logging

import pytest

from splatseg.errors import SplatsegError
from splatseg.masks.formats.matching import Entry, Photo, match


def matched(names, files, source):
    photos = {name.rsplit(".", 1)[0]: Photo(name, (8, 6)) for name in files}
    entries = [Entry(name, f"{name}.png", lambda size: None) for name in names]
    return {frame: entry.name for frame, entry in match(source, entries, photos).items()}


NAMES = {  # of a frame, or of none
    "cam0/0001": r"cam0/0001.jpg cam0/0001.png cam0/0001 ./cam0/0001 cam0\0001.jpg cam0/0001."
    r" images/cam0/0001.jpg ..\..\media\upload\4\cam0\0001.jpg",
    "cam1/0001": "data/images_4/cam1/0001.jpg",
    "cam0/0002": r"0002 elsewhere/0002.JPG images\3fa85f64-0002.jpg 1/17-3fa85f64-0002.jpg",
    # CGC, Gaussian Grouping and SAGA cut at the first dot.
    "cam1/IMG.3.v2": "IMG.3.v2.JPG IMG.3.v2 IMG.3 IMG",
    "cam1/my photo (1)": "3fa85f64-my_photo_1.jpg",
    None: "0001 x0002 3fa85f64_0002.jpg 3fa85f6-0002.jpg 0003",  # the first is in both folders
}


@pytest.mark.parametrize(
    ("name", "frame"), [(name, frame) for frame in NAMES for name in NAMES[frame].split()]
)
def test_a_name_finds_its_photo(tmp_path, name, frame):
    files = ["cam0/0001.jpg", "cam1/0001.jpg", "cam0/0002.jpg", "cam1/IMG.3.v2.JPG"]
    found = matched([name, "other"], [*files, "cam1/my photo (1).jpg", "other.png"], tmp_path)
    assert found == {"other": "other"} | ({} if frame is None else {frame: name})


def test_the_closest_agreement_wins(tmp_path, caplog):
    assert matched(["old/0001", "0001"], ["0001.jpg"], tmp_path) == {"0001": "0001"}
    sentence = "masks of 1 pictures belong to no photo of the capture and are left out: old/0001"
    assert sentence in caplog.text


def test_what_is_left_over_is_told_within_bounds(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        matched(["0", *(f"x{k}" for k in range(9))], ["0.jpg", "1.jpg", "2.jpg"], tmp_path)
    assert "9 pictures belong to no photo" in caplog.text
    assert "x0, x1, x2, x3, x4, …" in caplog.text and "x5" not in caplog.text
    assert "2 of 3 photos have no masks" in caplog.text


@pytest.mark.parametrize(
    ("names", "files", "reason"),
    [
        (["left/1", "right/1"], ["1.jpg"], r"left/1\.png and right/1\.png both .* photo 1; remove"),
        (["a", "b"], ["c.jpg"], r"none of the capture's 1 photos: .* is a, a photo is c\.jpg;"),
        ([], ["c.jpg"], "its first picture is none at all"),
        (["a"], [], "a photo is none at all"),
    ],
)
def test_two_of_one_photo_and_nothing_in_common_are_refused(tmp_path, names, files, reason):
    with pytest.raises(SplatsegError, match=reason):
        matched(names, files, tmp_path)
