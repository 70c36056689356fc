"""COLMAP models: the reader against pycolmap, and damage in words."""

import struct

import numpy as np
import pycolmap
import pytest

from splatseg.capture import Lens, load_capture
from splatseg.capture.colmap import read_colmap
from splatseg.errors import SplatsegError

POSE_TOLERANCE = 1e-12  # quaternions written in full, by two routes to a matrix

MODELS = {
    "SIMPLE_PINHOLE": (50.0, 31.0, 25.0),
    "PINHOLE": (50.0, 52.0, 31.0, 25.0),
    "SIMPLE_RADIAL": (50.0, 31.0, 25.0, -0.02),
    "RADIAL": (50.0, 31.0, 25.0, -0.02, 0.01),
    "OPENCV": (50.0, 52.0, 31.0, 25.0, -0.02, 0.01, 0.001, -0.002),
    "OPENCV_FISHEYE": (50.0, 52.0, 31.0, 25.0, -0.02, 0.01, 0.001, -0.002),
    "FULL_OPENCV": (50.0, 52.0, 31.0, 25.0, -0.02, 0.01, 0.001, -0.002, 0.0, 0.1, 0.0, 0.0),
}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_agrees_with_pycolmap(maker, model, binary):
    maker.names = ["cam0/0001.png", "cam1/0002.png", "é.png"]
    maker.photos()
    folder = maker.colmap(model=model, params=MODELS[model], binary=binary)
    poses = read_colmap(folder, maker.root)
    oracle = pycolmap.Reconstruction(folder)
    images = {f"images/{image.name}": image for image in oracle.images.values()}
    assert {posed.photo for posed in poses.photos} == set(images)
    for posed in poses.photos:
        assert posed.lens == Lens(model, *maker.size, MODELS[model])
        pose = images[posed.photo].cam_from_world().matrix()
        np.testing.assert_allclose(posed.cam_from_world[:3], pose, atol=POSE_TOLERANCE)
    order = np.lexsort(poses.points.xyz.T)
    np.testing.assert_allclose(poses.points.xyz[order], maker.xyz[np.lexsort(maker.xyz.T)])
    np.testing.assert_array_equal(poses.points.rgb[order], maker.rgb[np.lexsort(maker.xyz.T)])
    assert poses.source == "sparse/0" and poses.skipped == ()


def test_text_keeps_blanks_in_names(maker):
    maker.names = ["cam 0/a b.png"]  # pycolmap writes such names but reads `cam`
    maker.photos()
    poses = read_colmap(maker.colmap(binary=False), maker.root)
    assert [posed.photo for posed in poses.photos] == ["images/cam 0/a b.png"]


def test_binary_wins_over_text(maker):
    maker.photos()
    folder = maker.colmap()
    (folder / "cameras.txt").write_text("nonsense")
    assert len(read_colmap(folder, maker.root).photos) == len(maker.names)


def test_points_are_optional(maker):
    maker.photos()
    folder = maker.colmap()
    (folder / "points3D.bin").unlink()
    assert len(read_colmap(folder, maker.root).points.xyz) == 0


@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_truncated_binary(maker, stem, share):
    maker.photos()
    path = maker.colmap() / f"{stem}.bin"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SplatsegError, match=rf"{stem}\.bin is damaged .*export the COLMAP model"):
        load_capture(maker.root)


@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("seed", range(5))
def test_random_bytes(maker, stem, seed):
    maker.photos()
    path = maker.colmap() / f"{stem}.bin"
    path.write_bytes(np.random.default_rng(seed).bytes(400))
    with pytest.raises(SplatsegError, match=rf"{stem}\.bin"):
        load_capture(maker.root)


def test_trailing_bytes(maker):
    maker.photos()
    path = maker.colmap() / "cameras.bin"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(SplatsegError, match=f"take {size} bytes but the file has {size + 4}"):
        load_capture(maker.root)


@pytest.mark.parametrize(
    ("stem", "content"),
    [
        ("cameras", "1 PINHOLE 64\n"),
        ("cameras", "1 PINHOLE 64 48 a b c d\n"),
        ("images", "1 1 0 0 0 0 0 0 3\n\n"),
        ("images", "1 1 0 0 zero 0 0 0 3 0000.png\n\n"),
        ("points3D", "1 0 0\n"),
        ("points3D", "1 0 0 x 1 2 3 0.5\n"),
    ],
)
def test_damaged_text(maker, stem, content):
    maker.photos()
    (maker.colmap(binary=False) / f"{stem}.txt").write_text(content)
    with pytest.raises(SplatsegError, match=rf"{stem}\.txt is damaged"):
        load_capture(maker.root)


def test_unknown_models_are_named(maker):
    maker.photos()
    folder = maker.colmap()
    (folder / "cameras.bin").write_bytes(struct.pack("<QIiQQ4d", 1, 3, 99, 64, 48, 1, 1, 1, 1))
    with pytest.raises(SplatsegError, match=r"cameras\.bin: the camera model is number 99; exp"):
        load_capture(maker.root)
    (folder / "cameras.bin").unlink()
    (folder / "cameras.txt").write_text("3 CUBE 64 48 1 2 3\n")
    with pytest.raises(SplatsegError, match=r"cameras\.txt: the camera model is CUBE; expected"):
        load_capture(maker.root)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 0 0 0 0 0 0 0 3 0000.png", "frame 0000.png: its rotation is the quaternion"),
        ("1 nan 0 0 0 0 0 0 3 0000.png", "frame 0000.png: its rotation is the quaternion"),
        ("1 1 0 0 0 nan 0 0 3 0000.png", "frame 0000: the camera pose holds NaN"),
        ("1 1 0 0 0 0 0 0 8 0000.png", "frame 0000.png: it was taken by camera 8, which the mod"),
        ("1 1 0 0 0 0 0 0 3 ../0000.png", None),
        ("1 1 0 0 0 0 0 0 3 ../../0000.png", "0000.png lies outside the capture"),
    ],
)
def test_unusable_frames_are_named(maker, line, sentence):
    maker.photos()
    folder = maker.colmap(binary=False)
    (folder / "images.txt").write_text(f"# comment\n\n{line}\n\n")
    with pytest.raises(SplatsegError, match=sentence or "has no frame to work with"):
        load_capture(maker.root)


def test_half_a_model(maker):
    maker.photos()
    (maker.colmap() / "images.bin").unlink()
    with pytest.raises(SplatsegError, match=r"sparse/0 has no images\.bin or images\.txt; exp"):
        load_capture(maker.root)
