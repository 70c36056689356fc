"""transforms.json in its variants: intrinsics, distortion, axes, points, and bad values."""

import math

import numpy as np
import pytest
from PIL import Image

from splatseg.capture import load_capture
from splatseg.capture.nerfstudio import read_transforms
from splatseg.errors import SplatsegError

POSE_TOLERANCE = 1e-12  # one matrix inverse in float64


@pytest.fixture(autouse=True)
def photos(maker):
    maker.photos()


def lens(maker, **values):
    return read_transforms(maker.transforms(**values), maker.root).photos[0].lens


def test_poses_become_opencv(maker):
    poses = read_transforms(maker.transforms(), maker.root)
    for posed, expected in zip(poses.photos, maker.poses(), strict=True):
        np.testing.assert_allclose(posed.cam_from_world, expected, atol=POSE_TOLERANCE)
        # The camera looks at the origin: it lies on the optical axis, in front.
        x, y, z = posed.cam_from_world[:3, 3].tolist()
        assert abs(x) < POSE_TOLERANCE and abs(y) < POSE_TOLERANCE and z > 0


def test_frames_may_say_things_in_their_own_way(transforms):
    """Three rows of a matrix, other intrinsics than those shared, other words for the photo."""
    Image.fromarray(transforms.pattern(64, 48)).save(transforms.root / "elsewhere.png")
    listed = ["./images/0000.png", "images\\0001.png", "images/0002", "elsewhere.png"]
    for i, file_path in enumerate(listed):
        transforms.edit("transforms.json", i, file_path=file_path)
    transforms.edit("transforms.json", 0, transform_matrix=np.eye(4)[:3].tolist())
    transforms.edit("transforms.json", 2, fl_x=77.0, w=32, h=24)
    photos = read_transforms(transforms.root / "transforms.json", transforms.root).photos
    expected = ["images/0000.png", "images/0001.png", "images/0002.png", "elsewhere.png"]
    assert [posed.photo for posed in photos[:4]] == expected
    np.testing.assert_array_equal(photos[0].cam_from_world, np.diag([1, -1, -1, 1]))
    assert photos[1].lens.params == (50.0, 52.0, 31.0, 25.0)
    assert photos[2].lens.params == (77.0, 52.0, 31.0, 25.0) and photos[2].lens.width == 32


@pytest.mark.parametrize(
    ("angles", "params"),
    [
        ({"camera_angle_x": math.radians(90)}, (32, 32, 32, 24)),
        (dict.fromkeys(("camera_angle_x", "camera_angle_y"), math.radians(90)), (32, 24, 32, 24)),
    ],
)
def test_field_of_view_without_size(maker, angles, params):
    found = lens(maker, **dict.fromkeys(("w", "h", "fl_x", "fl_y", "cx", "cy")), **angles)
    assert (found.width, found.height) == (64, 48)
    np.testing.assert_allclose(found.params, params)


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
    assert [frame.name for frame in capture.test] == ["0002", "0003"] and len(capture.train) == 7


def pose(*diagonal):
    return {"transform_matrix": np.diag(diagonal).tolist()}


@pytest.mark.parametrize(
    ("shared", "of_frame_3", "sentence"),
    [
        ({"fl_x": None, "fl_y": None}, {}, "it has no focal length; expected fl_x or camera_angle"),
        ({"fl_x": "wide"}, {}, "its fl_x is 'wide'; expected a finite number"),
        ({"fl_x": -3.0}, {}, r"focal length \(-3.0, 52.0\); expected positive pixels"),
        ({"fl_y": 0.0}, {}, r"focal length \(50.0, 0.0\)"),
        ({"w": math.nan}, {}, "its w is nan; expected a finite number"),
        ({"h": 0}, {}, "has size 64x0"),
        ({"fl_x": None, "camera_angle_x": 4.0}, {}, "its camera_angle_x is 4.0; expected radians"),
        (
            {"camera_model": "EQUIRECTANGULAR"},
            {},
            "its camera_model is EQUIRECTANGULAR; expected ",
        ),
        ({"train_filenames": "all"}, {}, "train_filenames is not a list of photo paths"),
        ({"frames": 3}, None, "has no list `frames`"),
        ({"frames": [3]}, None, "has no list `frames`"),
        ({"frames": []}, None, "lists no photo"),
        ({}, {"file_path": None}, "frame 3: it has no file_path"),
        ({}, {"transform_matrix": None}, "0003.*: it has no transform_matrix of 4 x 4 numbers"),
        ({}, {"transform_matrix": [[1, 2], [3, 4]]}, "0003.*: it has no transform_matrix of 4 x 4"),
        ({}, {"transform_matrix": [["a"] * 4] * 4}, "0003.*: it has no transform_matrix of 4 x 4"),
        ({}, pose(2, 2, 2, 1), "0003.*: .*the camera pose is not a rotation"),
        ({}, pose(1, 1, -1, 1), "0003.*: .*the camera pose is not a rotation"),
        ({}, pose(0, 0, 0, 0), "0003.*: .*the camera pose is not a rotation"),
        ({}, pose(*[math.nan] * 4), "0003.*: .*the camera pose holds NaN or infinity"),
        ({}, {"file_path": "/photos/0003.png"}, "/photos/0003.png lies outside the capture"),
        ({}, {"file_path": "C:\\photos\\0003.png"}, "0003.png lies outside the capture"),
    ],
)
def test_unusable_values_and_frames_are_named(maker, shared, of_frame_3, sentence):
    if of_frame_3 is None:
        maker.json("transforms.json", shared)
    else:
        maker.transforms(**shared)
        maker.edit("transforms.json", 3, **of_frame_3)
    with pytest.raises(SplatsegError, match=rf"transforms\.json.*{sentence}"):
        load_capture(maker.root)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{", "is not valid JSON"), ("", "is not valid JSON"), ("[]", "has no list `frames`")],
)
def test_files_of_another_kind(maker, content, sentence):
    (maker.root / "transforms.json").write_text(content)
    with pytest.raises(SplatsegError, match=rf"{maker.root}.*{sentence}"):
        load_capture(maker.root)
