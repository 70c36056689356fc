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
    if binary:  # which wins over text
        (folder / "cameras.txt").write_text("nonsense")
    poses = read_colmap(folder, maker.root)
    (folder / "cameras.txt").unlink() if binary else None
    oracle = pycolmap.Reconstruction(folder)
    images = {f"images/{image.name}": image for image in oracle.images.values()}
    assert {posed.photo for posed in poses.photos} == set(images)
    for posed in poses.photos:
        assert posed.lens == Lens(model, *maker.size, MODELS[model])
        pose = images[posed.photo].cam_from_world().matrix()
        np.testing.assert_allclose(posed.cam_from_world[:3], pose, atol=POSE_TOLERANCE)
    order, expected = np.lexsort(poses.points.xyz.T), np.lexsort(maker.xyz.T)
    np.testing.assert_allclose(poses.points.xyz[order], maker.xyz[expected])
    np.testing.assert_array_equal(poses.points.rgb[order], maker.rgb[expected])
    assert poses.source == "sparse/0" and poses.skipped == ()


def test_text_keeps_blanks_in_names_and_needs_no_points(maker):
    maker.names = ["cam 0/a b.png"]  # pycolmap writes such names but reads `cam`
    maker.photos()
    folder = maker.colmap(binary=False)
    (folder / "points3D.txt").unlink()
    poses = read_colmap(folder, maker.root)
    assert [posed.photo for posed in poses.photos] == ["images/cam 0/a b.png"]
    assert len(poses.points.xyz) == 0


@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99, 1.1, None])
def test_damaged_binary(colmap, stem, share):
    path = colmap.root / f"sparse/0/{stem}.bin"
    content = path.read_bytes()
    sentence = r"is damaged .*export the COLMAP model"
    if share is None:
        path.write_bytes(np.random.default_rng(0).bytes(400))
        sentence = ""
    elif share > 1:
        path.write_bytes(content + b"more")
        sentence = f".*take {len(content)} bytes but the file has {len(content) + 4}"
    else:
        path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SplatsegError, match=rf"{stem}\.bin {sentence}".rstrip()):
        load_capture(colmap.root)


@pytest.mark.parametrize(
    ("stem", "content", "sentence"),
    [
        ("cameras", "1 PINHOLE 64\n", r"cameras\.txt is damaged"),
        ("cameras", "1 PINHOLE 64 48 a b c d\n", r"cameras\.txt is damaged"),
        ("cameras", "3 CUBE 64 48 1 2 3\n", r"cameras\.txt: the camera model is CUBE; expected"),
        ("images", "1 1 0 0 0 0 0 0 3\n\n", r"images\.txt is damaged"),
        ("images", "1 1 0 0 zero 0 0 0 3 0000.png\n\n", r"images\.txt is damaged"),
        ("images", "1 0 0 0 0 0 0 0 3 0000.png\n\n", "0000.png: its rotation is the quaternion"),
        ("images", "1 nan 0 0 0 0 0 0 3 0000.png\n\n", "0000.png: its rotation is the quaternion"),
        ("images", "1 1 0 0 0 nan 0 0 3 0000.png\n\n", "frame 0000: the camera pose holds NaN"),
        ("images", "1 1 0 0 0 0 0 0 8 0000.png\n\n", "0000.png: it was taken by camera 8, which"),
        ("images", "# comment\n\n1 1 0 0 0 0 0 0 3 ../0000.png\n\n", "has no frame to work with"),
        ("images", "1 1 0 0 0 0 0 0 3 ../../0000.png\n\n", "0000.png lies outside the capture"),
        ("images", None, r"sparse/0 has no images\.bin or images\.txt; exp"),
        ("points3D", "1 0 0\n", r"points3D\.txt is damaged"),
        ("points3D", "1 0 0 x 1 2 3 0.5\n", r"points3D\.txt is damaged"),
    ],
)
def test_damaged_text_and_unusable_frames_are_named(maker, stem, content, sentence):
    maker.photos()
    path = maker.colmap(binary=False) / f"{stem}.txt"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(SplatsegError, match=sentence):
        load_capture(maker.root)


def test_unknown_models_are_named(colmap):
    content = struct.pack("<QIiQQ4d", 1, 3, 99, 64, 48, 1, 1, 1, 1)
    (colmap.root / "sparse/0/cameras.bin").write_bytes(content)
    with pytest.raises(SplatsegError, match=r"cameras\.bin: the camera model is number 99; exp"):
        load_capture(colmap.root)
