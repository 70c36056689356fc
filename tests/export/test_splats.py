"""Files of other tools, as foreign readers read them."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.export.splats import SPZ_REACH, SUFFIXES, write_splats
from splatseg.geometry import SH_DC, Gaussians, rotation_matrices, sh_basis
from splatseg.scene import read_ply

COUNT = 300
PACKED = tuple(suffix for suffix in SUFFIXES if suffix != ".ply")
# What each format keeps, as measured on 3000 random Gaussians: absolute errors of position (in a
# cube of side 8), log scale, opacity, color and spherical harmonics, relative of the covariance.
POSITION, LOG_SCALE, OPACITY, COLOR, COVARIANCE, HARMONICS = range(6)
ERRORS = {
    ".compressed.ply": (4e-3, 2e-3, 0.003, 0.003, 0.01, 0.017),
    ".spz": (1.3e-4, 0.032, 0.003, 0.004, 0.07, 0.07),
    ".sog": (3e-4, 0.02, 0.005, 0.006, 0.05, 0.02),
    ".splat": (1e-6, 1e-5, 0.005, 0.005, 0.05, 0.0),
}


REFUSING = SimpleNamespace(convert=lambda *_: {"error": "too much"})


def random_gaussians(degree: int, count: int = COUNT) -> Gaussians:
    generator = torch.Generator().manual_seed(degree)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    sh = 0.1 * normal(count, (degree + 1) ** 2, 3)
    sh[:, 0] *= 5
    return Gaussians(
        means=normal(count, 3),
        quats=3 * normal(count, 4),  # of any length
        log_scales=torch.rand(count, 3, generator=generator) * 3 - 5,
        logit_opacities=(2 * normal(count)).clamp(-5, 5),  # of opacity 1 readers make inf
        sh=sh,
        features=torch.zeros(count, 0),
    )


def read_back(path: Path, suffix: str, folder: Path) -> Gaussians:
    """As gaussforge reads it; it leaves the axes of an SPZ as they are."""
    gaussforge = pytest.importorskip("gaussforge")
    answer = gaussforge.GaussForge().convert(path.read_bytes(), suffix[1:], "ply")
    plain = folder / "plain.ply"
    plain.write_bytes(answer["data"])
    return read_ply(plain)


def half_turned(gaussians: Gaussians) -> Gaussians:
    """Turned about x by 180 degrees, but for the harmonics."""
    turn = torch.tensor([1.0, -1.0, -1.0])
    quats = gaussians.quats * torch.tensor([1.0, 1.0, -1.0, -1.0])
    return replace(gaussians, means=gaussians.means * turn, quats=quats)


def covariances(gaussians: Gaussians) -> Tensor:
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)
    shape = rotation_matrices(unit) * gaussians.scales[:, None]
    return shape @ shape.mT


def colors(gaussians: Gaussians) -> Tensor:
    return (0.5 + SH_DC * gaussians.sh[:, 0]).clamp(0, 1)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize("suffix", PACKED)
def test_what_is_written_is_read_again(tmp_path, suffix, degree):
    ours = random_gaussians(degree)
    path = tmp_path / f"scene{suffix}"
    write_splats(path, ours)
    theirs = read_back(path, suffix, tmp_path)
    theirs = half_turned(theirs) if suffix == ".spz" else theirs
    assert len(theirs) == COUNT
    _, order = KDTree(theirs.means.numpy()).query(ours.means.numpy())
    assert len(set(order.tolist())) == COUNT  # formats put the rows in an order of their own
    theirs = theirs.select(torch.from_numpy(order))
    errors = ERRORS[suffix]
    assert largest(theirs.means - ours.means) < errors[POSITION]
    assert largest(theirs.log_scales - ours.log_scales) < errors[LOG_SCALE]
    assert largest(theirs.opacities - ours.opacities) < errors[OPACITY]
    assert largest(colors(theirs) - colors(ours)) < errors[COLOR]
    expected, found = covariances(ours), covariances(theirs)
    relative = (found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
    assert largest(relative) < errors[COVARIANCE]
    if suffix == ".splat":
        assert theirs.sh_degree == 0
    elif suffix != ".spz" and degree > 0:  # its harmonics are turned: the next test
        assert largest(theirs.sh[:, 1:] - ours.sh[:, 1:]) < errors[HARMONICS]


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_spz_is_turned_with_its_harmonics(tmp_path, degree):
    """A color seen from a direction is the color seen from the turned direction."""
    ours = random_gaussians(degree)
    write_splats(tmp_path / "scene.spz", ours)
    theirs = read_back(tmp_path / "scene.spz", ".spz", tmp_path)
    turn = torch.tensor([1.0, -1.0, -1.0])
    _, order = KDTree(theirs.means.numpy()).query((ours.means * turn).numpy())
    theirs = theirs.select(torch.from_numpy(order))
    generator = torch.Generator().manual_seed(0)
    for direction in torch.nn.functional.normalize(torch.randn(20, 3, generator=generator), dim=1):
        basis = sh_basis(direction[None], degree)[0, 1:, None]
        turned = sh_basis((direction * turn)[None], degree)[0, 1:, None]
        here, there = (ours.sh[:, 1:] * basis).sum(1), (theirs.sh[:, 1:] * turned).sum(1)
        assert float((here - there).norm()) < 0.5 * float(here.norm())  # 1.4 if not turned


def test_gsply_reads_the_harmonics_of_a_compressed_ply_too(tmp_path):
    """gaussforge writes them in another order than it reads them: a release may put that right."""
    gsply = pytest.importorskip("gsply")
    ours = random_gaussians(3)
    write_splats(tmp_path / "scene.compressed.ply", ours)
    theirs = gsply.plyread(tmp_path / "scene.compressed.ply")
    _, order = KDTree(np.asarray(theirs.means)).query(ours.means.numpy())
    found = np.asarray(theirs.shN).reshape(COUNT, -1, 3)[order]
    np.testing.assert_allclose(found, ours.sh[:, 1:], atol=ERRORS[".compressed.ply"][HARMONICS])


@pytest.mark.parametrize("count", [1, 5, 257])
def test_few_gaussians_are_a_file_too(tmp_path, count):
    for suffix in SUFFIXES:
        write_splats(tmp_path / f"few{suffix}", random_gaussians(1, count))
        assert len(read_back(tmp_path / f"few{suffix}", suffix, tmp_path)) == count
    for name, values in read_ply(tmp_path / "few.ply").tensors().items():
        assert torch.equal(values, getattr(random_gaussians(1, count), name))


@pytest.mark.parametrize(
    ("suffix", "change", "sentence"),
    [
        (".obj", {}, r"no suffix of a splat format; expected one of \.ply"),
        *((s, {"count": 0}, "there is no Gaussian to write") for s in SUFFIXES),
        (".spz", {"means": -SPZ_REACH}, "cannot hold a Gaussian at coordinate 2048"),
        (".sog", {"log_scales": torch.nan}, "1 of 300 Gaussians have NaN or infinity"),
        (".sog", {"gaussforge": SimpleNamespace(GaussForge=lambda: REFUSING)}, r"\.sog: too much"),
        (".spz", {"gaussforge": None}, r"gaussforge: pip install 'splatseg\[formats\]'"),
    ],
)
def test_what_is_refused_leaves_the_file_before(tmp_path, monkeypatch, suffix, change, sentence):
    gaussians = random_gaussians(0, change.get("count", COUNT))
    for name in gaussians.tensors().keys() & change:
        getattr(gaussians, name)[3, 1] = change[name]
    if "gaussforge" in change:
        monkeypatch.setitem(sys.modules, "gaussforge", change["gaussforge"])
    path = tmp_path / f"scene{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(SplatsegError, match=sentence):
        write_splats(path, gaussians)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]
    if suffix == ".spz" and len(gaussians):  # other formats hold it, or need no library
        write_splats(tmp_path / "scene.ply", gaussians)
