"""transforms.json in its variants: intrinsics, distortion, axes, points, and bad values."""

import math

import numpy as np
import pytest
from PIL import Image

from splatseg.capture import load_capture
from splatseg.capture.nerfstudio import read_transforms
from splatseg.errors import SplatsegError

POSE_TOLERANCE = 1e-12  # one matrix inverse in float64


def lens(maker, **values):
    path = maker.transforms(**values)
    return read_transforms(path, maker.root).photos[0].lens


@pytest.fixture(autouse=True)
def photos(maker):
    maker.photos()


def test_poses_become_opencv(maker):
    poses = read_transforms(maker.transforms(), maker.root)
    for posed, expected in zip(poses.photos, maker.poses(), strict=True):
        np.testing.assert_allclose(posed.cam_from_world, expected, atol=POSE_TOLERANCE)
        # The camera looks at the origin: it lies on the optical axis, in front.
        x, y, z = posed.cam_from_world[:3, 3].tolist()
        assert abs(x) < POSE_TOLERANCE and abs(y) < POSE_TOLERANCE and z > 0


def test_rows_of_a_matrix_without_the_last(transforms):
    short = np.eye(4)[:3].tolist()
    transforms.edit("transforms.json", 0, transform_matrix=short)
    poses = read_transforms(transforms.root / "transforms.json", transforms.root)
    np.testing.assert_array_equal(poses.photos[0].cam_from_world, np.diag([1, -1, -1, 1]))


def test_a_frame_overrides_what_is_shared(transforms):
    transforms.edit("transforms.json", 2, fl_x=77.0, w=32, h=24)
    photos = read_transforms(transforms.root / "transforms.json", transforms.root).photos
    assert photos[1].lens.params == (50.0, 52.0, 31.0, 25.0)
    assert photos[2].lens.params == (77.0, 52.0, 31.0, 25.0) and photos[2].lens.width == 32


def test_field_of_view_without_size(maker):
    none = dict.fromkeys(("w", "h", "fl_x", "fl_y", "cx", "cy"))
    found = lens(maker, **none, camera_angle_x=math.radians(90))
    assert (found.width, found.height) == (64, 48)
    np.testing.assert_allclose(found.params, (32, 32, 32, 24))
    found = lens(maker, **none, camera_angle_x=math.radians(90), camera_angle_y=math.radians(90))
    np.testing.assert_allclose(found.params, (32, 24, 32, 24))


@pytest.mark.parametrize(
    ("values", "model", "distortion"),
    [
        ({}, "PINHOLE", ()),
        ({"k1": 0, "k2": 0.0, "p1": 0, "p2": 0}, "PINHOLE", ()),
        ({"k1": 0.1, "camera_model": "OPENCV"}, "OPENCV", (0.1, 0, 0, 0)),
        ({"k1": 1, "k2": 2, "p1": 3, "p2": 4}, "OPENCV", (1, 2, 3, 4)),
        ({"k1": 1, "k3": 5}, "FULL_OPENCV", (1, 0, 0, 0, 5, 0, 0, 0)),
        ({"k1": 1, "k4": 4, "camera_model": "OPENCV_FISHEYE"}, "OPENCV_FISHEYE", (1, 0, 0, 4)),
        ({"k1": 1, "is_fisheye": True}, "OPENCV_FISHEYE", (1, 0, 0, 0)),
    ],
)
def test_distortion(maker, values, model, distortion):
    found = lens(maker, **values)
    assert found.model == model
    assert found.params == (50.0, 52.0, 31.0, 25.0, *map(float, distortion))


def test_photos_listed_in_other_words(transforms):
    for i, listed in enumerate(["./images/0000.png", "images\\0001.png", "images/0002"]):
        transforms.edit("transforms.json", i, file_path=listed)
    Image.fromarray(transforms.pattern(64, 48)).save(transforms.root / "elsewhere.png")
    transforms.edit("transforms.json", 3, file_path="elsewhere.png")
    photos = read_transforms(transforms.root / "transforms.json", transforms.root).photos
    expected = ["images/0000.png", "images/0001.png", "images/0002.png", "elsewhere.png"]
    assert [posed.photo for posed in photos[:4]] == expected


def test_points_come_from_the_named_file(maker):
    header = "ply\nformat ascii 1.0\nelement vertex 1\n"
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    (maker.root / "points.ply").write_text(f"{header}{axes}end_header\n1 2 3\n")
    maker.transforms(ply_file_path="points.ply")
    capture = load_capture(maker.root)
    assert capture.points.tolist() == [[1, 2, 3]] and capture.skipped == ()
    maker.transforms(ply_file_path="gone.ply")
    capture = load_capture(maker.root)
    assert len(capture.points) > 1000 and "names gone.ply for its points" in capture.skipped[0]


def test_split_lists(maker):
    files = [f"images/{name}" for name in maker.names]
    maker.transforms(train_filenames=files[:5], test_filenames=files[5:6], val_filenames=files[6:7])
    capture = load_capture(maker.root)
    assert [frame.name for frame in capture.train] == [f"000{i}" for i in range(5)]
    assert [frame.name for frame in capture.test] == ["0005", "0006"]
    assert "names 2 of the frames (first: 0007) neither" in capture.skipped[0]
    maker.transforms(test_filenames=files[2:4])
    capture = load_capture(maker.root)
    assert [frame.name for frame in capture.test] == ["0002", "0003"]
    assert len(capture.train) == 7


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"fl_x": None, "fl_y": None}, "it has no focal length; expected fl_x or camera_angle_x"),
        ({"fl_x": "wide"}, "its fl_x is 'wide'; expected a finite number"),
        ({"fl_x": -3.0}, r"focal length \(-3.0, 52.0\); expected positive pixels"),
        ({"fl_y": 0.0}, r"focal length \(50.0, 0.0\)"),
        ({"w": math.nan}, "its w is nan; expected a finite number"),
        ({"h": 0}, "has size 64x0"),
        ({"fl_x": None, "camera_angle_x": 4.0}, "its camera_angle_x is 4.0; expected radians"),
        ({"camera_model": "EQUIRECTANGULAR"}, "its camera_model is EQUIRECTANGULAR; expected OPE"),
        ({"train_filenames": "all"}, "train_filenames is not a list of photo paths"),
    ],
)
def test_unusable_values(maker, values, sentence):
    maker.transforms(**values)
    with pytest.raises(SplatsegError, match=rf"transforms\.json.*{sentence}"):
        load_capture(maker.root)


SCALED = np.diag([2.0, 2.0, 2.0, 1.0]).tolist()
MIRRORED = np.diag([1.0, 1.0, -1.0, 1.0]).tolist()
SINGULAR = np.zeros((4, 4)).tolist()
NAN = np.full((4, 4), math.nan).tolist()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"transform_matrix": None}, "it has no transform_matrix of 4 x 4 numbers"),
        ({"transform_matrix": [[1, 2], [3, 4]]}, "it has no transform_matrix of 4 x 4 numbers"),
        ({"transform_matrix": [["a"] * 4] * 4}, "it has no transform_matrix of 4 x 4 numbers"),
        ({"transform_matrix": SCALED}, "the camera pose is not a rotation"),
        ({"transform_matrix": MIRRORED}, "the camera pose is not a rotation"),
        ({"transform_matrix": SINGULAR}, "the camera pose is not a rotation"),
        ({"transform_matrix": NAN}, "the camera pose holds NaN or infinity"),
        ({"file_path": "/photos/0003.png"}, "/photos/0003.png lies outside the capture"),
        ({"file_path": "C:\\photos\\0003.png"}, "0003.png lies outside the capture"),
    ],
)
def test_unusable_frames_are_named(transforms, values, sentence):
    transforms.edit("transforms.json", 3, **values)
    with pytest.raises(SplatsegError, match=rf"transforms\.json, frame .*0003.*: .*{sentence}"):
        load_capture(transforms.root)


def test_a_frame_without_a_photo_path_is_named_by_its_place(transforms):
    transforms.edit("transforms.json", 3, file_path=None)
    with pytest.raises(SplatsegError, match=r"transforms\.json, frame 3: it has no file_path"):
        load_capture(transforms.root)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[]", "has no list `frames`"),
        ('{"frames": 3}', "has no list `frames`"),
        ('{"frames": [3]}', "has no list `frames`"),
        ('{"frames": []}', "transforms.json lists no photo"),
    ],
)
def test_unusable_files(maker, content, sentence):
    (maker.root / "transforms.json").write_text(content)
    with pytest.raises(SplatsegError, match=rf"{maker.root}.*{sentence}"):
        load_capture(maker.root)
