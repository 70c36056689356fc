"""Finding a capture's masks: names, sizes, and what is missing."""

import logging

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, check_size, open_masks, write_label_map, write_segments

FRAMES = ["cam0/0001", "cam0/0002", "cam1/IMG.3"]
LABELS = np.ones((4, 6), dtype=np.uint8)


@pytest.fixture
def capture(tmp_path):
    """A capture with one set, `sam`, that lacks the second frame."""
    masks = np.ones((2, 4, 6), dtype=bool)
    write_segments(tmp_path / "masks/sam/cam0/0001.json", Segments.from_masks(masks), "0001.jpg")
    write_label_map(tmp_path / "masks/sam/cam1/IMG.3.png", np.eye(4, 6, dtype=np.uint8))
    return tmp_path


def test_the_only_set_is_found(capture, caplog):
    with caplog.at_level(logging.INFO):
        found = open_masks(capture, None, FRAMES)
    assert found.name == "sam"
    assert "1 of 3 frames have no masks" in caplog.text
    assert len(found.segments("cam0/0001", (6, 4))) == 2
    assert found.segments("cam0/0002", (6, 4)) is None
    assert found.segments("cam1/IMG.3", (12, 8)).areas.tolist() == [4]
    with pytest.raises(
        SplatsegError, match=r"0001\.json is 6x4 but its photo is 40x60; make it at the photo's si"
    ):
        found.segments("cam0/0001", (40, 60))


@pytest.mark.parametrize(
    ("more", "name", "frames", "sentence"),
    [
        ("hand/cam0/0001", None, FRAMES, r"2 mask sets \(hand, sam\); choose"),
        (None, "sma", FRAMES, "has no mask set sma; it has sam"),
        (None, None, ["other"], r"1 frames: a mask file is cam0/0001\.json, a frame is other;"),
        ("sam/cam0/0001", None, FRAMES, r"both 0001\.json and 0001\.png for the frame cam0/0001"),
    ],
)
def test_sets_that_are_refused(capture, more, name, frames, sentence):
    if more:
        write_label_map(capture / f"masks/{more}.png", LABELS)
    with pytest.raises(SplatsegError, match=sentence):
        open_masks(capture, name, frames)


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        (".", "holds no mask set: "),
        ("masks/.cache", "holds no mask set: "),
        ("masks/sam", "a mask file is none at all, a frame is cam0/0001"),
    ],
)
def test_a_capture_without_masks_is_refused(tmp_path, folder, sentence):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(SplatsegError, match=sentence):
        open_masks(tmp_path, None, FRAMES)


def test_one_of_several_sets_is_named(capture):
    write_label_map(capture / "masks/hand/cam0/0001.png", LABELS)
    assert list(open_masks(capture, "hand", FRAMES[:1]).files) == ["cam0/0001"]


def test_files_of_unknown_frames_are_left_out_with_a_warning(capture, caplog):
    """Hidden and other files are passed over."""
    (capture / "masks/sam/cam0/._0002.json").write_text("junk")
    (capture / "masks/sam/cam0/0002.txt").write_text("junk")
    assert len(open_masks(capture, None, FRAMES).files) == 2
    assert "belong to no frame" not in caplog.text
    for name in ["config.json", *(f"{i}.png" for i in range(6))]:
        write_label_map(capture / "masks/sam" / name, np.ones((1, 1), dtype=np.uint8))
    assert sorted(open_masks(capture, "sam", FRAMES).files) == ["cam0/0001", "cam1/IMG.3"]
    assert "7 mask files belong to no frame" in caplog.text
    assert caplog.text.rstrip().endswith("0, 1, 2, 3, 4, …")


def test_shapes_are_checked_before_any_mask_is_read(capture):
    found = open_masks(capture, None, FRAMES)
    found.check_sizes({frame: (12, 8) for frame in FRAMES})
    found.check_sizes({"cam0/0002": (40, 60)})  # it has no file
    with pytest.raises(SplatsegError, match=r"IMG\.3\.png is 6x4 but its photo is 40x60"):
        found.check_sizes({"cam0/0001": (6, 4), "cam1/IMG.3": (40, 60)})
    found.files["cam1/IMG.3"].write_text("not a PNG: that is said when it is read")
    found.check_sizes({frame: (6, 4) for frame in FRAMES})
    with pytest.raises(SplatsegError, match="cannot be read as PNG"):
        found.segments("cam1/IMG.3", (6, 4))


FITTING = {  # at halves, rounded down and up, and at 143.7 rows, rounded
    (1906, 1070): [(953, 535), (256, 144), (3812, 2140)],
    (1907, 1071): [(953, 535), (954, 536)],
    (1071, 1907): [(535, 953)],
}
OTHERS = {
    (1906, 1070): [(1024, 1024), (1906, 1072)],
    (1280, 720): [(640, 480)],
    (640, 480): [(480, 640)],
}


def test_proportions_may_differ_by_a_pixel(tmp_path):
    for photo_size, sizes in FITTING.items():
        for size in sizes:
            check_size(tmp_path / "a.png", size, photo_size)
    for photo_size, sizes in OTHERS.items():
        for size in sizes:
            with pytest.raises(SplatsegError, match=f"is {size[0]}x{size[1]} but its photo is"):
                check_size(tmp_path / "a.png", size, photo_size)
