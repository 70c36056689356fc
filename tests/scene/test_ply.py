"""The standard PLY: our own round trip, two foreign readers, and files that are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.scene.ply import read_ply, write_ply

GaussiansMaker = Callable[..., Gaussians]
DEGREES = (0, 1, 2, 3)

HEADER_OF_DEGREE_1 = """\
ply
format binary_little_endian 1.0
element vertex 2
property float x
property float y
property float z
property float nx
property float ny
property float nz
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float f_rest_0
property float f_rest_1
property float f_rest_2
property float f_rest_3
property float f_rest_4
property float f_rest_5
property float f_rest_6
property float f_rest_7
property float f_rest_8
property float opacity
property float scale_0
property float scale_1
property float scale_2
property float rot_0
property float rot_1
property float rot_2
property float rot_3
end_header
"""
NAMES = [line.split()[-1] for line in HEADER_OF_DEGREE_1.splitlines() if "property" in line]


def write_structured(path: Path, rows: np.ndarray, before: str = "", after: str = "") -> None:
    """A PLY of structured `rows`, with header lines before and after the element vertex."""
    types = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int"}
    properties = [
        f"property {types[rows.dtype[name].str[1:]]} {name}\n" for name in rows.dtype.names or ()
    ]
    header = "ply\nformat binary_little_endian 1.0\ncomment made by a test\n" + before
    header += f"element vertex {len(rows)}\n{''.join(properties)}{after}end_header\n"
    path.write_bytes(header.encode() + rows.tobytes())


def standard_rows(count: int = 2, **types: str) -> np.ndarray:
    """Rows of SH degree 1 in which every value is another whole number, so that any type fits."""
    rows = np.zeros(count, [(name, types.get(name, "<f4")) for name in NAMES])
    for column, name in enumerate(NAMES):
        rows[name] = np.arange(count) * len(NAMES) + column
    return rows


def same(one: Gaussians, other: Gaussians) -> bool:
    """Whether all but the features are equal, bit for bit."""
    a, b = one.tensors(), other.tensors()
    return all(torch.equal(a[name], b[name]) for name in a if name != "features")


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(count=st.integers(1, 30), degree=st.sampled_from(DEGREES), seed=st.integers(0, 99))
def test_what_is_written_is_read(tmp_path, make_gaussians, count, degree, seed):
    gaussians = make_gaussians(count, degree, seed)
    write_ply(tmp_path / "scene.ply", gaussians)
    found = read_ply(tmp_path / "scene.ply")
    assert same(found, gaussians)
    assert found.features.shape == (count, 0)


def test_the_file_is_the_standard_one(tmp_path, make_gaussians):
    gaussians = make_gaussians(count=2, degree=1)
    write_ply(tmp_path / "scene.ply", gaussians)
    data = (tmp_path / "scene.ply").read_bytes()
    assert data.startswith(HEADER_OF_DEGREE_1.encode())
    rows = np.frombuffer(data[len(HEADER_OF_DEGREE_1) :], "<f4").reshape(2, len(NAMES))
    columns = dict(zip(NAMES, rows.T, strict=True))
    sh = gaussians.sh.numpy()
    np.testing.assert_array_equal(columns["f_dc_1"], sh[:, 0, 1])
    np.testing.assert_array_equal(columns["f_rest_1"], sh[:, 2, 0])  # red, second coefficient
    np.testing.assert_array_equal(columns["f_rest_3"], sh[:, 1, 1])  # green, first coefficient
    np.testing.assert_array_equal(columns["rot_0"], gaussians.quats[:, 0])
    np.testing.assert_array_equal(columns["nx"], 0)


@pytest.mark.parametrize("degree", DEGREES)
def test_gsply_reads_the_same(tmp_path, make_gaussians, degree):
    gsply = pytest.importorskip("gsply")
    gaussians = make_gaussians(degree=degree)
    write_ply(tmp_path / "scene.ply", gaussians)
    theirs = gsply.plyread(tmp_path / "scene.ply")
    np.testing.assert_array_equal(theirs.means, gaussians.means)
    np.testing.assert_array_equal(theirs.quats, gaussians.quats)
    np.testing.assert_array_equal(theirs.scales, gaussians.log_scales)
    np.testing.assert_array_equal(theirs.opacities, gaussians.logit_opacities)
    np.testing.assert_array_equal(theirs.sh0, gaussians.sh[:, 0])
    np.testing.assert_array_equal(theirs.shN, gaussians.sh[:, 1:])


@pytest.mark.parametrize("degree", DEGREES[1:])  # 0.6.0 gives Python no scene of degree 0
def test_gaussforge_reads_the_same(tmp_path, make_gaussians, degree):
    gaussforge = pytest.importorskip("gaussforge")
    gaussians = make_gaussians(degree=degree)
    write_ply(tmp_path / "scene.ply", gaussians)
    answer = gaussforge.GaussForge().read((tmp_path / "scene.ply").read_bytes(), "ply")
    theirs = {
        name: np.frombuffer(value, np.float32).reshape(len(gaussians), -1)
        for name, value in answer["data"].items()
        if isinstance(value, bytes)
    }
    np.testing.assert_array_equal(theirs["positions"], gaussians.means)
    np.testing.assert_array_equal(theirs["rotations"], gaussians.quats)
    np.testing.assert_array_equal(theirs["scales"], gaussians.log_scales)
    np.testing.assert_array_equal(theirs["alphas"][:, 0], gaussians.logit_opacities)
    np.testing.assert_array_equal(theirs["colors"], gaussians.sh[:, 0])
    np.testing.assert_array_equal(theirs["sh"], gaussians.sh[:, 1:].flatten(1))


@pytest.mark.parametrize("degree", DEGREES)
def test_gaussforge_writes_the_same_bytes(tmp_path, make_gaussians, degree):
    gaussforge = pytest.importorskip("gaussforge")
    path = tmp_path / "scene.ply"
    write_ply(path, make_gaussians(degree=degree))
    theirs = gaussforge.GaussForge().convert(path.read_bytes(), "ply", "ply", strict=True)["data"]
    assert theirs.replace(b"comment Generated by GaussForge\n", b"") == path.read_bytes()


def test_order_types_extra_properties_and_missing_normals_are_tolerated(tmp_path):
    write_structured(tmp_path / "plain.ply", standard_rows())
    rows = standard_rows(x="<f8", opacity="|u1", rot_0="<i4")
    names = [name for name in reversed(NAMES) if name not in ("nx", "ny", "nz")]
    shuffled = np.zeros(2, [*((name, rows.dtype[name]) for name in names), ("object_id", "<i4")])
    for name in names:
        shuffled[name] = rows[name]
    write_structured(tmp_path / "odd.ply", shuffled)
    assert same(read_ply(tmp_path / "odd.ply"), read_ply(tmp_path / "plain.ply"))


def test_other_elements_comments_and_windows_line_ends_are_tolerated(tmp_path):
    rows = standard_rows()
    write_structured(tmp_path / "plain.ply", rows)
    header = HEADER_OF_DEGREE_1.replace(
        "element vertex", "obj_info none\nelement camera 3\nproperty short id\nelement vertex"
    ).replace("end_header", "element face 1\nproperty list uchar int vertex_indices\nend_header")
    faces = b"\x03" + bytes(12)
    data = header.replace("\n", "\r\n").encode() + bytes(6) + rows.tobytes() + faces
    (tmp_path / "odd.ply").write_bytes(data)
    assert same(read_ply(tmp_path / "odd.ply"), read_ply(tmp_path / "plain.ply"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ply\n", "PNG\n", "is not a PLY file: its first line is not 'ply'"),
        ("binary_little_endian", "ascii", "in the format ascii; only binary_little_endian is"),
        ("binary_little_endian", "binary_big_endian", "in the format binary_big_endian; only"),
        ("endian 1.0", "endian 2.0", "line 2 of its header is 'format binary_little_endian 2.0'"),
        ("vertex 2", "vertex two", "line 3 of its header is 'element vertex two'"),
        ("vertex 2", "vertex 0", "holds no Gaussian; expected at least one"),
        ("vertex 2", "vertex 3", "cut short: 3 Gaussians take 312 bytes, found 208"),
        ("vertex 2", f"vertex {10**30}", "cut short"),
        ("element vertex 2", f"element a {10**30}\nproperty int b\nelement vertex 2", "found 0"),
        ("vertex", "points", "has no element vertex"),
        ("float y", "quad y", "line 5 of its header is 'property quad y'"),
        ("float y", "float x", "line 5 of its header is 'property float x'"),
        ("float rot_2", "float rot_9", "has no property rot_2, as a 3D Gaussian"),
        ("float f_rest_4", "float f_rest_9", "has no property f_rest_4"),
        ("float f_rest_8", "float other", "has 8 properties f_rest; expected 0, 9, 24 or 45"),
        ("float nx", "list uchar int nx", "has a list in element vertex; expected scalars"),
        ("end_header\n", "end_header", "its header has no end_header"),
    ],
)
def test_other_headers_are_refused(tmp_path, old, new, sentence):
    path = tmp_path / "scene.ply"
    header = HEADER_OF_DEGREE_1.replace(old, new, 1)
    path.write_bytes(header.encode() + standard_rows().tobytes())
    with pytest.raises(SplatsegError) as caught:
        read_ply(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("kept", [0, 2, 40, len(HEADER_OF_DEGREE_1), len(HEADER_OF_DEGREE_1) + 207])
def test_a_file_cut_anywhere_is_refused(tmp_path, kept):
    path = tmp_path / "scene.ply"
    path.write_bytes((HEADER_OF_DEGREE_1.encode() + standard_rows().tobytes())[:kept])
    with pytest.raises(SplatsegError, match=r"cut short|not a PLY"):
        read_ply(path)


def test_bytes_without_line_ends_are_refused(tmp_path):
    path = tmp_path / "scene.ply"
    path.write_bytes(b"ply\n" + bytes(100_000))
    with pytest.raises(SplatsegError, match="cut short or not a PLY"):
        read_ply(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    with pytest.raises(SplatsegError, match=r"gone\.ply does not exist"):
        read_ply(tmp_path / "gone.ply")
    with pytest.raises(SplatsegError, match=r"cannot read .*: Is a directory|Permission denied"):
        read_ply(tmp_path)


def test_poison_values_are_refused_when_read(tmp_path):
    path = tmp_path / "scene.ply"
    rows = standard_rows(count=4, x="<f8")
    rows["scale_1"][[1, 3]] = [np.nan, np.inf]
    write_structured(path, rows)
    sentence = "2 of 4 Gaussians have NaN or infinity in log_scales, the first at row 1"
    with pytest.raises(SplatsegError, match=sentence):
        read_ply(path)
    rows = standard_rows(count=4, x="<f8")
    rows["x"][2] = 1e300  # finite as a double, not as a float
    write_structured(path, rows)
    with pytest.raises(SplatsegError, match="1 of 4 Gaussians have NaN or infinity in means"):
        read_ply(path)
    rows = standard_rows(count=4)
    for name in ("rot_0", "rot_1", "rot_2", "rot_3"):
        rows[name][3] = 0
    write_structured(path, rows)
    with pytest.raises(SplatsegError, match="1 of 4 Gaussians have a quaternion of length 0, the"):
        read_ply(path)


def test_poison_values_and_nothing_are_refused_when_written(tmp_path, make_gaussians):
    path = tmp_path / "scene.ply"
    good = make_gaussians()
    write_ply(path, good)
    bad = make_gaussians(seed=1)
    bad.sh[2, 1, 0] = torch.nan
    with pytest.raises(SplatsegError, match=r"1 of 5 Gaussians have NaN or infinity in sh, .* 2"):
        write_ply(path, bad)
    with pytest.raises(SplatsegError, match="there is no Gaussian to write"):
        write_ply(path, make_gaussians(count=0))
    assert same(read_ply(path), good)


def test_gradients_and_doubles_can_be_written(tmp_path, make_gaussians):
    gaussians = make_gaussians()
    leaves = gaussians.to(torch.float64)
    leaves.means.requires_grad_()
    write_ply(tmp_path / "scene.ply", leaves)
    assert same(read_ply(tmp_path / "scene.ply"), gaussians)
