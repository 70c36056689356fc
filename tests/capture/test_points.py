"""Point clouds from PLY files, and points sampled where cameras look."""

import numpy as np
import pytest
import torch

from splatseg.capture import points as points_module
from splatseg.capture.points import SAMPLED_POINTS, near_plane, read_ply, sample_points
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

XYZ = np.array([[0.5, -1.25, 2.0], [3.0, 4.0, 5.5]])
RGB = np.array([[0, 128, 255], [1, 2, 3]])
SUBSET_FRACTION = 0.01  # four standard deviations of that quantile of the 3334 points that are left
COLORED = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
END = "end_header\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\n"
CAMERA = Camera(torch.eye(4, dtype=torch.float64), 100.0, 100.0, 50.0, 50.0, 100, 100)


def header(form, count=2, kind="float", colors=COLORED):
    xyz = "".join(f"property {kind} {name}\n" for name in "xyz")
    return f"ply\nformat {form} 1.0\ncomment made by hand\nelement vertex {count}\n{xyz}{colors}"


@pytest.mark.parametrize("form", ["binary_little_endian", "binary_big_endian", "ascii"])
@pytest.mark.parametrize(("kind", "code"), [("float", "f4"), ("double", "f8")])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_form(form, kind, code, newline, tmp_path):
    if form == "ascii":
        lines = (" ".join(map(str, [*x, *c])) for x, c in zip(XYZ, RGB, strict=True))
        content = (header(form, kind=kind) + END + "\n".join(lines) + "\n").replace("\n", newline)
        data = content.encode()
    else:
        number = {"binary_little_endian": "<", "binary_big_endian": ">"}[form] + code
        rows = np.zeros(2, dtype=[("xyz", number, 3), ("rgb", "u1", 3)])
        rows["xyz"], rows["rgb"] = XYZ, RGB
        data = (header(form, kind=kind) + FACES + END).encode() + rows.tobytes() + b"faces"
    (tmp_path / "points.ply").write_bytes(data)
    points = read_ply(tmp_path / "points.ply")
    np.testing.assert_array_equal(points.xyz, XYZ)
    np.testing.assert_array_equal(points.rgb, RGB)


@pytest.mark.parametrize(
    ("content", "colors"),
    [
        (header("ascii", colors="") + END + "1 2 3\n4 5 6\n", [[128] * 3] * 2),
        (header("ascii", count=0) + END, []),
        (header("binary_little_endian", count=0) + END, []),
    ],
)
def test_points_without_color_are_gray_and_none_are_none(content, colors, tmp_path):
    (tmp_path / "points.ply").write_text(content)
    assert read_ply(tmp_path / "points.ply").rgb.tolist() == colors


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "it is not a PLY file: its first line is not .ply."),
        ("ply\nformat ascii 1.0\n", "its header has no end_header"),
        (header("ascii") + END + "1 2 3 4 5\n", "cannot reshape"),
        (header("ascii") + END + "1 2 x 4 5 6\n" * 2, "could not convert"),
        (header("binary_little_endian") + END + "short", "buffer"),
        (header("binary_pdp_endian") + END, "gives no format"),
        ("ply\nformat ascii 1.0\nelement camera 1\n" + END, "another element than vertex first"),
        (header("ascii") + "property list uchar int n\n" + END, "is not a single number"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty int a\n" + END + "1", "no field of"),
    ],
)
def test_unusable_files(content, sentence, tmp_path):
    (tmp_path / "points.ply").write_text(content)
    with pytest.raises(SplatsegError, match=rf"points\.ply is not a usable.*{sentence}"):
        read_ply(tmp_path / "points.ply")


def cameras(poses):
    return [Camera(torch.from_numpy(pose), 60.0, 60.0, 32.0, 24.0, 64, 48) for pose in poses]


def test_sampled_points_are_seen_by_many_and_scale_with_the_scene(maker):
    circle = cameras(maker.poses())
    points = sample_points(circle, 2.0)
    assert points.xyz.shape == (SAMPLED_POINTS, 3) and (points.rgb == 128).all()
    views = np.zeros(SAMPLED_POINTS)
    for camera in circle:
        pose = camera.cam_from_world.numpy()
        x, y, z = pose[:3, :3] @ points.xyz.T + pose[:3, 3:]
        with np.errstate(divide="ignore"):
            column, row = 60 * x / z + 32, 60 * y / z + 24
        views += (z > 0) & (column >= 0) & (column < 64) & (row >= 0) & (row < 48)
    assert views.min() >= 3  # of 9: a quarter, rounded up
    assert (np.linalg.norm(points.xyz, axis=1) < 0.5).any()  # the middle of the circle is covered
    far = [pose * [[1, 1, 1, 10]] for pose in maker.poses()]  # and the same points every time
    far = [np.vstack([pose[:3], [0, 0, 0, 1]]) for pose in far]
    np.testing.assert_allclose(sample_points(cameras(far), 20.0).xyz, 10 * points.xyz)


def test_one_camera_is_enough():
    points = sample_points(cameras([np.eye(4)]), 1.0)
    assert len(points.xyz) == SAMPLED_POINTS and (points.xyz[:, 2] > 0).all()


def test_the_near_plane_lies_before_the_nearest_points_that_a_camera_sees():
    seen = np.column_stack([np.zeros((101, 2)), np.linspace(2.0, 4.0, 101)])
    beside = seen + np.array([100.0, 0.0, -1.9])
    assert near_plane(CAMERA, np.vstack([seen, -seen, beside])) == pytest.approx(0.5 * 2.04)
    assert near_plane(CAMERA, seen[:10]) == CAMERA.near


def test_of_many_points_a_part_tells_the_near_plane(monkeypatch):
    xyz = np.random.default_rng(0).uniform((-1, -1, 2), (1, 1, 4), (10_001, 3))
    of_all = near_plane(CAMERA, xyz)
    monkeypatch.setattr(points_module, "MAX_NEAR_POINTS", 5000)
    assert near_plane(CAMERA, xyz) != of_all
    assert near_plane(CAMERA, xyz) == pytest.approx(of_all, rel=SUBSET_FRACTION)
