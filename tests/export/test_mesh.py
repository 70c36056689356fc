"""Meshes of objects whose surface is known."""

import builtins
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.progress import Recorder

from splatseg.errors import SplatsegError
from splatseg.export.mesh import (
    SUFFIXES,
    Mesh,
    depth_view,
    grid_around,
    largest_component,
    object_mesh,
    write_mesh,
)
from splatseg.export.path import look_at
from splatseg.geometry import SH_DC, Gaussians
from splatseg.geometry.camera import Camera

CENTER = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
RADIUS = 0.4
SIGMA = 0.02  # of its Gaussians, which still cover at one or two of them from their centers
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
VOXELS = 32
TETRAHEDRON = Mesh(
    vertices=np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    colors=np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], dtype=np.uint8),
)


def ball(count: int = 1500) -> Gaussians:
    """A sphere of small opaque Gaussians: red above its middle, blue below."""
    steps = np.arange(count) + 0.5
    heights, turns = 1 - 2 * steps / count, math.pi * (1 + math.sqrt(5)) * steps
    level = np.sqrt(1 - heights**2)
    sphere = np.column_stack([level * np.cos(turns), level * np.sin(turns), heights])
    colors = np.where(heights[:, None] > 0, [[1.0, 0, 0]], [[0, 0, 1.0]])
    return Gaussians(
        means=(CENTER + RADIUS * torch.from_numpy(sphere)).float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        log_scales=torch.full((count, 3), math.log(SIGMA)),
        logit_opacities=torch.full((count,), 6.0),
        sh=torch.from_numpy((colors - 0.5) / SH_DC).float()[:, None],
        features=torch.zeros(count, 0),
    )


def cameras(heights: tuple[float, ...], count: int = 8) -> list[Camera]:
    """Around the ball, at these heights over its middle."""
    lens = Camera(torch.eye(4, dtype=torch.float64), 110.0, 110.0, 48.0, 36.0, 96, 72)
    made = []
    for height in heights:
        for turn in 2 * math.pi * np.arange(count) / count:
            place = [2.0 * math.cos(turn), 2.0 * math.sin(turn), height]
            made.append(look_at(lens, CENTER + torch.tensor(place).double(), CENTER, UP))
    return made


def edge_counts(faces: np.ndarray) -> np.ndarray:
    """How often each edge occurs in either direction, less how often in the other."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, index = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    return np.bincount(index.ravel(), np.where(edges[:, 0] < edges[:, 1], 1, -1))


def volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_ball_gives_a_closed_sphere_in_its_place_and_colors() -> None:
    pytest.importorskip("skimage")
    progress = Recorder()
    mesh = object_mesh(ball(), cameras((-1.2, 0.0, 1.2)), VOXELS, progress)
    from_center = mesh.vertices - CENTER.numpy()
    distances = np.linalg.norm(from_center, axis=1)
    assert 0 < distances.mean() - RADIUS < 2 * SIGMA
    assert distances.std() < 2 * RADIUS / VOXELS
    assert (edge_counts(mesh.faces) == 0).all()
    assert volume(mesh) == pytest.approx(4 / 3 * math.pi * distances.mean() ** 3, rel=0.02)
    upper = from_center[:, 2] > 0.1
    lower = from_center[:, 2] < -0.1
    assert mesh.colors[upper].mean(axis=0) == pytest.approx([255, 0, 0], abs=30)
    assert mesh.colors[lower].mean(axis=0) == pytest.approx([0, 0, 255], abs=30)
    assert progress.updates == [("fusing depth", n, 24) for n in range(1, 25)]


def test_what_no_view_sees_from_below_is_closed_where_the_gaussians_end() -> None:
    pytest.importorskip("skimage")
    mesh = object_mesh(ball(), cameras((1.2,)), VOXELS)
    assert (edge_counts(mesh.faces) == 0).all()
    voxel = 2 * RADIUS / VOXELS
    assert float(mesh.vertices[:, 2].min()) > float(CENTER[2]) - RADIUS - 4 * voxel


def test_the_mesh_moves_with_its_world() -> None:
    pytest.importorskip("skimage")
    gaussians, views = ball(), cameras((0.5,), count=5)
    turn = torch.tensor([[0.0, -1, 0, 1.5], [1, 0, 0, -2], [0, 0, 1, 0.25], [0, 0, 0, 1]]).double()
    moved = Gaussians(
        **gaussians.tensors()
        | {"means": gaussians.means @ turn[:3, :3].T.float() + turn[:3, 3].float()}
    )
    back = torch.linalg.inv(turn)
    moved_views = [
        Camera(c.cam_from_world @ back, c.fx, c.fy, c.cx, c.cy, c.width, c.height) for c in views
    ]
    one, other = object_mesh(gaussians, views, 16), object_mesh(moved, moved_views, 16)
    assert volume(one) == pytest.approx(volume(other), rel=0.01)
    center = turn[:3, :3].numpy() @ one.vertices.mean(axis=0) + turn[:3, 3].numpy()
    assert other.vertices.mean(axis=0) == pytest.approx(center, abs=0.01)


def test_depth_is_that_of_the_front_and_infinite_beside_it() -> None:
    (camera,) = cameras((0.0,), count=1)
    seen = depth_view(ball(), camera, CENTER, 1.2 * RADIUS)
    assert float(seen.depth[36, 48]) == pytest.approx(2.0 - RADIUS, abs=0.03)
    assert math.isinf(float(seen.depth[2, 2]))


def test_the_largest_component_is_kept_and_filled() -> None:
    distance = np.ones((9, 9, 9))
    distance[1:6, 1:6, 1:6] = -0.5
    distance[3, 3, 3] = 0.2  # a hollow
    distance[7, 7, 7] = -0.9  # apart
    kept = largest_component(distance)
    assert (kept < 0).sum() == 125
    assert kept[3, 3, 3] == -1
    assert kept[7, 7, 7] == 1
    assert kept[2, 2, 2] == -0.5
    assert (largest_component(np.ones((3, 3, 3))) == 1).all()


def test_voxels_are_cubes_around_the_object() -> None:
    gaussians = ball()
    stretched = Gaussians(
        **gaussians.tensors() | {"means": gaussians.means * torch.tensor([3.0, 1.0, 1.0])}
    )
    grid = grid_around(stretched, 30)
    points = grid.points()
    assert len(points) == math.prod(grid.shape)
    assert grid.shape[0] > 2 * grid.shape[1]
    low, high = stretched.means.quantile(0.01, dim=0), stretched.means.quantile(0.99, dim=0)
    assert (points.amin(dim=0) < low).all()
    assert (points.amax(dim=0) > high).all()
    assert torch.allclose(points.mean(dim=0), grid.center, atol=1e-4)


def none_of(gaussians: Gaussians) -> Gaussians:
    return gaussians.select(torch.zeros(len(gaussians), dtype=torch.bool))


def at_one_place(gaussians: Gaussians) -> Gaussians:
    return Gaussians(**gaussians.tensors() | {"means": torch.zeros_like(gaussians.means)})


def faint(gaussians: Gaussians) -> Gaussians:
    opacities = torch.full_like(gaussians.logit_opacities, -9.0)
    return Gaussians(**gaussians.tensors() | {"logit_opacities": opacities})


@pytest.mark.parametrize(
    ("change", "views", "voxels", "sentence"),
    [
        (ball, cameras((1.0,)), 4, "a mesh of 4 voxels is asked for; expected 8 to 256"),
        (none_of, cameras((1.0,)), 16, "there is no Gaussian"),
        (at_one_place, cameras((1.0,)), 16, "all at one place"),
        (faint, cameras((1.0,)), 16, "have no surface"),
        (lambda gaussians: gaussians, [], 16, "no camera has the whole object before it"),
    ],
)
def test_what_has_no_surface_is_refused(
    change: Callable[..., Gaussians], views: list[Camera], voxels: int, sentence: str
) -> None:
    pytest.importorskip("skimage")
    gaussians = ball() if change is ball else change(ball())
    with pytest.raises(SplatsegError, match=sentence):
        object_mesh(gaussians, views, voxels)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_read_back_as_the_mesh(tmp_path: Path, suffix: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / f"mesh{suffix}"
    write_mesh(path, TETRAHEDRON)
    read = trimesh.load_mesh(path)
    assert len(read.faces) == 4
    assert read.is_watertight
    assert read.volume == pytest.approx(1 / 6)
    assert np.asarray(read.bounds) == pytest.approx(np.array([[0.0, 0, 0], [1, 1, 1]]))
    if suffix != ".stl":
        colors = {tuple(color[:3]) for color in read.visual.vertex_colors.tolist()}
        assert colors == set(map(tuple, TETRAHEDRON.colors.tolist()))


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplatsegError, match=r"suffix '\.fbx'; expected one of \.ply, \.glb"):
        write_mesh(tmp_path / "a.fbx", TETRAHEDRON)


@pytest.mark.parametrize(
    ("library", "name", "use"),
    [
        ("skimage", "scikit-image", lambda path: object_mesh(ball(), [])),
        ("trimesh", "trimesh", lambda path: write_mesh(path, TETRAHEDRON)),
    ],
)
def test_a_missing_library_is_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    name: str,
    use: Callable[[Path], object],
) -> None:
    real: Callable[..., object] = builtins.__import__

    def without(wanted: str, *args: Any) -> object:
        if wanted.split(".")[0] == library:
            raise ImportError(wanted)
        return real(wanted, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SplatsegError, match=rf"{name}: pip install 'splatseg\[mesh\]'"):
        use(tmp_path / "a.ply")
