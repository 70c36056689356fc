"""A capture as a whole: which poses win, sizes, splits, images, and what is left out."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatseg.capture import Frame, load_capture
from splatseg.errors import SplatsegError

POSE_TOLERANCE = 1e-9
LEVELS = 2  # of 255: rounding, in the photo and in the resampling
OPENCV = (50.0, 52.0, 31.0, 25.0, -0.1, 0.02, 0.003, -0.002)
DISTORTION = dict(zip(("k1", "k2", "p1", "p2"), OPENCV[4:], strict=True))
DISTORTED = {"model": "OPENCV", "params": OPENCV}


@pytest.mark.parametrize("folder", ["sparse/0", "sparse"])
def test_colmap_wins_over_transforms(maker, folder):
    maker.photos()
    maker.colmap(folder)
    maker.transforms(fl_x=99.0)
    assert load_capture(maker.root).frames[0].camera.fx == 50.0
    assert len(load_capture(maker.root).points) == len(maker.xyz)
    override = load_capture(maker.root, poses=maker.root / "transforms.json")
    assert override.frames[0].camera.fx == 99.0


def test_names_keep_folders_and_are_sorted(maker):
    maker.names = ["cam1/0001.png", "cam0/b.c.png", "cam0/a.png"]
    maker.photos()
    maker.colmap()
    capture = load_capture(maker.root)
    assert [frame.name for frame in capture.frames] == ["cam0/a", "cam0/b.c", "cam1/0001"]
    assert capture.frame("cam0/b.c").photo == "images/cam0/b.c.png"
    with pytest.raises(SplatsegError, match=r"has no frame cam1/0002; expected .* as cam1/0001"):
        capture.frame("cam1/0002")


def test_split_file_wins_and_may_name_frames_that_are_not_there(maker, caplog):
    maker.photos()
    maker.transforms(test_filenames=["images/0001.png"])
    maker.json("split.json", {"train": ["0001", "0002", "gone"], "test": ["0000"]})
    capture = load_capture(maker.root)
    assert [frame.name for frame in capture.frames] == ["0000", "0001", "0002"]
    assert [frame.name for frame in capture.test] == ["0000"]
    assert "split.json names 1 frames that the capture does not have (first: gone)" in caplog.text
    assert "split.json names 6 of the frames (first: 0003) neither" in capture.skipped[0]


@pytest.mark.parametrize("distorted", [False, True])
def test_downscale(maker, distorted):
    maker.photos((65, 49))
    maker.colmap(size=(65, 49), **(DISTORTED if distorted else {}))
    capture = load_capture(maker.root, downscale=3)
    camera = capture.frames[0].camera
    assert (camera.width, camera.height) == (22, 16)
    assert camera.fx == pytest.approx(50 * 22 / 65) and camera.cy == pytest.approx(25 * 16 / 49)
    image = capture.image(capture.frames[0])
    assert image.shape == (16, 22, 3)
    if not distorted:
        difference = image.astype(float) - maker.pattern(22, 16)
        assert np.abs(difference)[2:-2, 2:-2].max() <= LEVELS


def test_automatic_downscale(maker, caplog):
    maker.names = maker.names[:2]
    maker.photos((2001, 4))
    maker.colmap(size=(2001, 4))
    with caplog.at_level(logging.INFO):
        capture = load_capture(maker.root)
    assert capture.downscale == 3 and capture.frames[0].camera.width == 667
    assert "photos are up to 2001 pixels wide or high; working at 1/3" in caplog.text
    assert load_capture(maker.root, downscale=1).frames[0].camera.width == 2001


def test_shrunk_photos_are_read_where_they_exist(maker):
    maker.photos((65, 49))
    maker.photos((32, 24), folder="images_2")
    black = np.zeros((24, 32, 3), dtype=np.uint8)
    Image.fromarray(black).save(maker.root / "images_2" / maker.names[0])
    (maker.root / "images_2" / maker.names[1]).unlink()
    maker.colmap(size=(65, 49))
    capture = load_capture(maker.root, downscale=2)
    assert (capture.frames[0].camera.width, capture.frames[0].camera.height) == (32, 24)
    assert capture.frames[0].camera.fx == pytest.approx(50 * 32 / 65)
    np.testing.assert_array_equal(capture.image(capture.frames[0]), black)
    assert capture.image(capture.frames[1]).max() > 0
    assert load_capture(maker.root, downscale=1).frames[0].camera.width == 65


def test_undistorted_photos_are_kept(maker):
    maker.photos()
    maker.photos((32, 24), folder="images_2")
    maker.colmap(**DISTORTED)
    capture = load_capture(maker.root, downscale=2)
    (maker.root / "images_2" / maker.names[3]).write_text("shrunk photos are not read")
    frame = capture.frames[3]
    image = capture.image(frame)
    expected = frame.lens.warp_to_undistorted(maker.pattern(64, 48), frame.camera, nearest=False)
    np.testing.assert_array_equal(image, expected)
    assert capture.image(frame).shape == (24, 32, 3)
    (stored,) = (maker.root / ".splatseg/undistorted").rglob("*.*")
    assert stored.name == "0003.png"

    photo = maker.root / frame.photo
    content = photo.read_bytes()
    photo.write_text("nothing is read from here while the stored image is newer")
    os.utime(photo, ns=(0, 0))
    np.testing.assert_array_equal(replace(capture).image(frame), image)

    photo.write_bytes(content)
    os.utime(photo, ns=(2**62, 2**62))
    Image.fromarray(np.zeros_like(image)).save(stored)
    np.testing.assert_array_equal(replace(capture).image(frame), image)


# Points and extent


@pytest.mark.parametrize("form", ["colmap", "transforms"])
def test_missing_photos_are_skipped(maker, form, caplog):
    maker.photos()
    getattr(maker, form)()
    (maker.root / "images/0002.png").unlink()
    capture = load_capture(maker.root)
    assert "0002" not in [frame.name for frame in capture.frames] and len(capture.frames) == 8
    (sentence,) = capture.skipped
    assert "lists images/0002.png, which is not in the capture; the frame is skipped" in sentence
    assert sentence in caplog.text


def test_truncated_photo(colmap):
    photo = colmap.root / "images/0001.png"
    photo.write_bytes(photo.read_bytes()[:500])
    capture = load_capture(colmap.root)
    with pytest.raises(SplatsegError, match=r"images/0001\.png cannot be read as a photo"):
        capture.image(capture.frame("0001"))
    photo.write_bytes(b"")
    with pytest.raises(SplatsegError, match=r"images/0001\.png cannot be read as a photo"):
        load_capture(colmap.root)


@pytest.mark.parametrize("distorted", [False, True])
def test_every_format_gives_the_same_cameras(maker, distorted):
    maker.photos()
    lens, values = (DISTORTED, DISTORTION) if distorted else ({}, {})
    first = load_capture(maker.root, poses=maker.colmap("binary", **lens)).frames
    for poses in (
        maker.colmap("text", binary=False, **lens),
        maker.transforms("poses.json", **values),
    ):
        for a, b in zip(first, load_capture(maker.root, poses=poses).frames, strict=True):
            assert a.name == b.name and a.lens == b.lens
            pose = b.camera.cam_from_world
            torch.testing.assert_close(a.camera.cam_from_world, pose, rtol=0, atol=POSE_TOLERANCE)
            assert replace(a.camera, cam_from_world=pose) == b.camera


def test_a_whole_capture_without_points(transforms, caplog):
    """A frame comes back from JSON, an image is the photo, every eighth frame is held out."""
    with caplog.at_level(logging.INFO):
        capture = load_capture(transforms.root)
    frame = capture.frames[4]
    again = Frame.from_json(frame.to_json())
    assert torch.equal(again.camera.cam_from_world, frame.camera.cam_from_world)
    camera = replace(frame.camera, cam_from_world=again.camera.cam_from_world)
    assert replace(frame, camera=camera) == again
    image = capture.image(frame)
    np.testing.assert_array_equal(image, transforms.pattern(64, 48))
    assert np.shares_memory(capture.image(frame), image)
    assert image.transpose(2, 0, 1).flags.c_contiguous  # planar, as the engine reads it
    assert [frame.name for frame in capture.test] == ["0000", "0008"] and len(capture.train) == 7
    positions = np.stack([frame.camera.position.numpy() for frame in capture.train])
    distances = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    assert capture.extent == pytest.approx(1.1 * distances.max())
    assert len(capture.points) == len(capture.colors) > 0 and np.isfinite(capture.points).all()
    assert "the capture has no points" in caplog.text


def test_a_lone_turned_photo_is_trained_on_and_points_that_are_nowhere_are_dropped(maker):
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns the photo clockwise
    maker.names = maker.names[:1]
    maker.xyz = np.array([[0.0, 0.1, 0.2], [np.nan, 0.0, 0.1]])
    maker.photos()
    upright = maker.pattern(64, 48)
    stored = Image.fromarray(np.rot90(upright).copy())
    stored.save(maker.root / "images" / maker.names[0], exif=exif)
    maker.colmap()
    capture = load_capture(maker.root)
    assert len(capture.train) == 1 and capture.test == () and capture.extent > 0
    assert (capture.frames[0].lens.width, capture.frames[0].lens.height) == (64, 48)
    np.testing.assert_array_equal(capture.image(capture.frames[0]), upright)
    assert capture.points.tolist() == [[0.0, 0.1, 0.2]]


def test_intrinsics_for_another_size_are_scaled(maker, caplog):
    """Images that neither memory nor the disk holds are made again."""
    maker.photos((32, 24))
    maker.colmap(**DISTORTED)
    with caplog.at_level(logging.INFO):
        generous = load_capture(maker.root)
    assert generous.frames[0].lens.params == (25.0, 26.0, 15.5, 12.5, *OPENCV[4:])
    assert "(64x48, but 0000 is 32x24): the intrinsics of 9 frames are scaled" in caplog.text
    (maker.root / ".splatseg").write_text("a file where the folder should be")
    frugal = load_capture(maker.root)
    frugal._images.max_bytes = 1
    for frame in frugal.frames * 2:
        np.testing.assert_array_equal(frugal.image(frame), generous.image(frame))
        assert frugal._images.bytes == frugal.image(frame).nbytes
    assert caplog.text.count("undistorted photos cannot be kept") == 1


def split(maker, content):
    maker.photos()
    maker.transforms()
    maker.json("split.json", content)


def two_of_a_name(maker):
    maker.names = ["a.png", "a.jpg"]
    maker.photos()
    maker.colmap()


@pytest.mark.parametrize(
    ("arrange", "options", "sentence"),
    [
        (lambda m: split(m, {"train": ["a.png"], "test": ["0001"]}), {}, "train on and names a.pn"),
        (lambda m: split(m, {"train": [], "test": ["0001"]}), {}, "on; expected frame names"),
        (lambda m: split(m, {"train": ["0001"]}), {}, "split.json is not a split"),
        (lambda m: split(m, {"train": "0001", "test": []}), {}, "split.json is not a split"),
        (lambda m: split(m, []), {}, "split.json is not a split"),
        (
            lambda m: (m.photos((64, 36)), m.colmap()),
            {},
            r"frame 0000: images/0000.png is 64x36 but sparse/0 gives .* 64x48",
        ),
        (
            lambda m: (m.photos(), m.photos((32, 30), "images_2"), m.colmap()),
            {"downscale": 2},
            r"0000\.png is 32x30 but its photo is 64x48; expected",
        ),
        (lambda m: m.colmap(), {}, r"has no frame to work with: .* lists images/0000.pn"),
        (lambda m: m.transforms(), {}, r"has no frame to work with: .* lists images/0000.pn"),
        (lambda m: m.photos(), {}, "holds no camera poses; expected a COLMAP model in"),
        (lambda m: m.photos(), {"poses": Path("a.csv")}, r"a\.csv holds no camera poses"),
        (lambda m: None, {"downscale": 0}, "factor is 0; expected a whole number"),
        (
            lambda m: setattr(m, "root", m.root / "nowhere"),
            {},
            "nowhere is not a folder; expect",
        ),
        (two_of_a_name, {}, r"lists images/a.png and images/a.jpg, both of which"),
    ],
)
def test_captures_that_are_refused(maker, arrange, options, sentence):
    arrange(maker)
    with pytest.raises(SplatsegError, match=sentence):
        load_capture(maker.root, **options)
