"""Finding a capture's masks: names, sizes, and what is missing."""

import logging

import numpy as np
import pytest

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, check_size, open_masks, write_label_map, write_segments

FRAMES = ["cam0/0001", "cam0/0002", "cam1/IMG.3"]


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


def test_several_sets_need_a_name(capture):
    write_label_map(capture / "masks/hand/cam0/0001.png", np.ones((4, 6), dtype=np.uint8))
    with pytest.raises(SplatsegError, match=r"2 mask sets \(hand, sam\); choose"):
        open_masks(capture, None, FRAMES)
    assert list(open_masks(capture, "hand", FRAMES).files) == ["cam0/0001"]


def test_an_unknown_name_lists_the_sets(capture):
    with pytest.raises(SplatsegError, match="has no mask set sma; it has sam"):
        open_masks(capture, "sma", FRAMES)


@pytest.mark.parametrize("make_folder", [False, True])
def test_a_capture_without_masks_says_how_to_make_them(tmp_path, make_folder):
    if make_folder:
        (tmp_path / "masks/.cache").mkdir(parents=True)
    with pytest.raises(SplatsegError, match=r"holds no mask set: "):
        open_masks(tmp_path, None, FRAMES)


def test_files_of_unknown_frames_are_left_out_with_a_warning(capture, caplog):
    for name in ["config.json", *(f"{i}.png" for i in range(6))]:
        write_label_map(capture / "masks/sam" / name, np.ones((1, 1), dtype=np.uint8))
    found = open_masks(capture, "sam", FRAMES)
    assert sorted(found.files) == ["cam0/0001", "cam1/IMG.3"]
    assert "7 mask files belong to no frame" in caplog.text
    assert caplog.text.rstrip().endswith("0, 1, 2, 3, 4, …")


def test_a_set_that_matches_no_frame_is_refused_with_examples(capture):
    with pytest.raises(
        SplatsegError,
        match=r"none of the capture's 1 frames: a mask file is cam0/0001\.json, a frame is other;",
    ):
        open_masks(capture, None, ["other"])


def test_an_empty_set_is_refused(tmp_path):
    (tmp_path / "masks/sam").mkdir(parents=True)
    with pytest.raises(SplatsegError, match="a mask file is none at all, a frame is cam0/0001"):
        open_masks(tmp_path, None, FRAMES)


def test_hidden_and_other_files_are_no_masks(capture, caplog):
    (capture / "masks/sam/cam0/._0002.json").write_text("junk")
    (capture / "masks/sam/cam0/0002.txt").write_text("junk")
    assert len(open_masks(capture, None, FRAMES).files) == 2
    assert "belong to no frame" not in caplog.text


def test_two_files_for_one_frame_are_refused(capture):
    write_label_map(capture / "masks/sam/cam0/0001.png", np.ones((4, 6), dtype=np.uint8))
    with pytest.raises(
        SplatsegError, match=r"both 0001\.json and 0001\.png for the frame cam0/0001"
    ):
        open_masks(capture, None, FRAMES)


def test_a_mask_of_other_proportions_is_refused_by_name(capture):
    found = open_masks(capture, None, FRAMES)
    with pytest.raises(
        SplatsegError,
        match=r"0001\.json is 6x4 but its photo is 40x60; make it at the photo's size",
    ):
        found.segments("cam0/0001", (40, 60))


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


@pytest.mark.parametrize(
    ("size", "photo_size", "fits"),
    [
        ((953, 535), (1906, 1070), True),
        ((953, 535), (1907, 1071), True),  # halves, rounded down
        ((954, 536), (1907, 1071), True),  # halves, rounded up
        ((535, 953), (1071, 1907), True),
        ((256, 144), (1906, 1070), True),  # 143.7 rows, rounded
        ((3812, 2140), (1906, 1070), True),
        ((640, 480), (1280, 720), False),
        ((480, 640), (640, 480), False),
        ((1024, 1024), (1906, 1070), False),
        ((1906, 1072), (1906, 1070), False),
    ],
)
def test_proportions_may_differ_by_a_pixel(tmp_path, size, photo_size, fits):
    if fits:
        check_size(tmp_path / "a.png", size, photo_size)
    else:
        with pytest.raises(SplatsegError):
            check_size(tmp_path / "a.png", size, photo_size)
