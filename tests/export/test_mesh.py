"""Meshes of objects whose surface is known."""

import math
import sys
from dataclasses import replace

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

pytest.importorskip("skimage")
CENTER = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
RADIUS = 0.4
SIGMA = 0.02  # of its Gaussians, which still cover at one or two of them from their centers
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
VOXELS = 32
FAINT = torch.full((1500,), -9.0)
TETRAHEDRON = Mesh(
    vertices=np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    colors=np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], dtype=np.uint8),
)


def ball(count: int = 1500) -> Gaussians:
    """A sphere of small opaque Gaussians: red above its middle, blue below."""
    steps = torch.arange(count) + 0.5
    heights, turns = 1 - 2 * steps / count, math.pi * (1 + math.sqrt(5)) * steps
    level = (1 - heights**2).sqrt()
    sphere = torch.stack([level * turns.cos(), level * turns.sin(), heights], dim=1)
    colors = torch.where(heights[:, None] > 0, *torch.eye(3)[[0, 2]])
    shape = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1), torch.full((count, 3), math.log(SIGMA))
    looks = torch.full((count,), 6.0), ((colors - 0.5) / SH_DC)[:, None], torch.zeros(count, 0)
    return Gaussians((CENTER + RADIUS * sphere).float(), *shape, *looks)


def cameras(*heights: float, count: int = 8) -> list[Camera]:
    """Around the ball, at these heights over its middle."""
    lens = Camera(torch.eye(4, dtype=torch.float64), 110.0, 110.0, 48.0, 36.0, 96, 72)
    places = [
        torch.tensor([2.0 * math.cos(turn), 2.0 * math.sin(turn), height]).double()
        for height in heights
        for turn in 2 * math.pi * np.arange(count) / count
    ]
    return [look_at(lens, CENTER + place, CENTER, UP) for place in places]


def edge_counts(faces: np.ndarray) -> np.ndarray:
    """How often each edge occurs in either direction, less how often in the other."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, index = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    return np.bincount(index.ravel(), np.where(edges[:, 0] < edges[:, 1], 1, -1))


def volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_ball_gives_a_closed_sphere_in_its_place_and_colors():
    progress = Recorder()
    mesh = object_mesh(ball(), cameras(-1.2, 0.0, 1.2), VOXELS, progress)
    from_center = mesh.vertices - CENTER.numpy()
    distances = np.linalg.norm(from_center, axis=1)
    assert 0 < distances.mean() - RADIUS < 2 * SIGMA
    assert distances.std() < 2 * RADIUS / VOXELS
    assert (edge_counts(mesh.faces) == 0).all()
    assert volume(mesh) == pytest.approx(4 / 3 * math.pi * distances.mean() ** 3, rel=0.02)
    heights = from_center[:, 2]
    assert mesh.colors[heights > 0.1].mean(axis=0) == pytest.approx([255, 0, 0], abs=30)
    assert mesh.colors[heights < -0.1].mean(axis=0) == pytest.approx([0, 0, 255], abs=30)
    assert progress.updates == [("fusing depth", n, 24) for n in range(1, 25)]


def test_what_no_view_sees_from_below_is_closed_where_the_gaussians_end():
    mesh = object_mesh(ball(), cameras(1.2), VOXELS)
    assert (edge_counts(mesh.faces) == 0).all()
    voxel = 2 * RADIUS / VOXELS
    assert float(mesh.vertices[:, 2].min()) > float(CENTER[2]) - RADIUS - 4 * voxel


def test_the_mesh_moves_with_its_world():
    gaussians, views = ball(), cameras(0.5, count=5)
    turn = torch.tensor([[0.0, -1, 0, 1.5], [1, 0, 0, -2], [0, 0, 1, 0.25], [0, 0, 0, 1]]).double()
    rotation, shift = turn[:3, :3].float(), turn[:3, 3].float()
    moved = replace(gaussians, means=gaussians.means @ rotation.T + shift)
    back = torch.linalg.inv(turn)
    moved_views = [replace(c, cam_from_world=c.cam_from_world @ back) for c in views]
    one, other = object_mesh(gaussians, views, 16), object_mesh(moved, moved_views, 16)
    assert volume(one) == pytest.approx(volume(other), rel=0.01)
    center = rotation.numpy() @ one.vertices.mean(axis=0) + shift.numpy()
    assert other.vertices.mean(axis=0) == pytest.approx(center, abs=0.01)


def test_depth_is_that_of_the_front_and_infinite_beside_it():
    (camera,) = cameras(0.0, count=1)
    seen = depth_view(ball(), camera, CENTER, 1.2 * RADIUS)
    assert float(seen.depth[36, 48]) == pytest.approx(2.0 - RADIUS, abs=0.03)
    assert math.isinf(float(seen.depth[2, 2]))


def test_the_largest_component_is_kept_and_filled():
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


def test_voxels_are_cubes_around_the_object():
    gaussians = ball()
    stretched = replace(gaussians, means=gaussians.means * torch.tensor([3.0, 1.0, 1.0]))
    grid = grid_around(stretched, 30)
    points = grid.points()
    assert len(points) == math.prod(grid.shape) and grid.shape[0] > 2 * grid.shape[1]
    low, high = stretched.means.quantile(torch.tensor([0.01, 0.99]), dim=0)
    assert (points.amin(dim=0) < low).all() and (points.amax(dim=0) > high).all()
    assert torch.allclose(points.mean(dim=0), grid.center, atol=1e-4)


@pytest.mark.parametrize(
    ("gaussians", "views", "voxels", "sentence"),
    [
        (ball(), cameras(1.0), 4, "a mesh of 4 voxels is asked for; expected 8 to 256"),
        (ball(0), cameras(1.0), 16, "there is no Gaussian"),
        (replace(ball(), means=torch.zeros(1500, 3)), cameras(1.0), 16, "all at one place"),
        (
            replace(ball(), logit_opacities=torch.full((1500,), -9.0)),
            cameras(1.0),
            16,
            "no surface",
        ),
        (ball(), [], 16, "no camera has the whole object before it"),
    ],
)
def test_what_has_no_surface_is_refused(gaussians, views, voxels, sentence):
    with pytest.raises(SplatsegError, match=sentence):
        object_mesh(gaussians, views, voxels)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_read_back_as_the_mesh(tmp_path, suffix):
    trimesh = pytest.importorskip("trimesh")
    write_mesh(tmp_path / f"mesh{suffix}", TETRAHEDRON)
    read = trimesh.load_mesh(tmp_path / f"mesh{suffix}")
    assert len(read.faces) == 4 and read.is_watertight
    assert read.volume == pytest.approx(1 / 6)
    assert np.asarray(read.bounds) == pytest.approx(np.array([[0.0, 0, 0], [1, 1, 1]]))
    if suffix != ".stl":
        colors = {tuple(color[:3]) for color in read.visual.vertex_colors.tolist()}
        assert colors == set(map(tuple, TETRAHEDRON.colors.tolist()))


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(SplatsegError, match=r"suffix '\.fbx'; expected one of \.ply, \.glb"):
        write_mesh(tmp_path / "a.fbx", TETRAHEDRON)


def test_a_missing_library_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(SplatsegError, match=r"scikit-image: pip install 'splatseg\[mesh\]'"):
        object_mesh(ball(), [])
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(SplatsegError, match=r"trimesh: pip install 'splatseg\[mesh\]'"):
        write_mesh(tmp_path / "a.ply", TETRAHEDRON)
