"""Fixtures that all tests share; what they build is in builders/."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from builders import fake_gsplat as fake_gsplat_module
from builders.dying_disk import DyingDisk
from builders.rendering import (  # noqa: F401, fixtures
    backend,
    fast,
    gsplat_backend,
    make_camera,
    make_gaussians,
    make_smooth_gaussians,
    native,
    threads,
)
from builders.synthetic import (
    CENTERS,
    RADII,
    Synthetic,
    short_config,
    train_folder,
    true_gaussians,
    write_capture,
)
from hypothesis import settings
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians
from splatseg.render import gsplat
from splatseg.scene import Scene, load_scene
from splatseg.training import TrainConfig

# Torch's OpenMP threads spin between calls, which under load slows the engine's own threads down;
# the command line sets OMP_WAIT_POLICY, which is too late here.
torch.set_num_threads(1)

# The same examples on every run; how long one takes depends on the machine.
settings.register_profile("splatseg", derandomize=True, deadline=None)
settings.load_profile("splatseg")


@pytest.fixture(scope="session")
def true_scene() -> tuple[Gaussians, Tensor]:
    """The Gaussians behind the photos, and the object of each."""
    return true_gaussians()


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    """The capture, shared: read it, or copy it with `capture_copy` before changing it."""
    return write_capture(tmp_path_factory.mktemp("synthetic") / "capture")


@pytest.fixture
def capture_copy(synthetic: Synthetic, tmp_path: Path) -> Path:
    """A copy of the capture folder to damage."""
    return Path(shutil.copytree(synthetic.root, tmp_path / "capture"))


@pytest.fixture(scope="session")
def config() -> Callable[..., TrainConfig]:
    return short_config


@pytest.fixture(scope="session")
def trained_folder(synthetic: Synthetic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained scene's folder, shared: read it, or copy it with `scene_copy`."""
    folder = tmp_path_factory.mktemp("trained") / "scene"
    train_folder(synthetic.root, short_config(), folder)
    return folder


@pytest.fixture(scope="session")
def run_training() -> Callable[..., Scene]:
    """Train a capture folder with masks if the configuration learns features."""
    return train_folder


@pytest.fixture(scope="session")
def trained(trained_folder: Path) -> Scene:
    return load_scene(trained_folder)


@pytest.fixture
def scene_copy(trained_folder: Path, tmp_path: Path) -> Path:
    """A copy of the trained scene's folder to write into."""
    return Path(shutil.copytree(trained_folder, tmp_path / "scene"))


@pytest.fixture(scope="session")
def balls() -> dict[int, tuple[tuple[float, float, float], float]]:
    """Center and radius of each object of the truth."""
    return {k: (CENTERS[k - 1], RADII[k - 1]) for k in (1, 2, 3)}


@pytest.fixture
def dying_disk(monkeypatch: pytest.MonkeyPatch) -> DyingDisk:
    return DyingDisk(monkeypatch)


@pytest.fixture(scope="session")
def tiny_sam() -> ModuleType:
    """builders/tiny_sam.py; `tiny_sam.write_tiny_sam(folder)` writes an encoder and a decoder."""
    pytest.importorskip("onnx", reason="the tiny SAM is written with onnx")
    from builders import tiny_sam

    return tiny_sam


@pytest.fixture(scope="session")
def tiny_sam_folder(tiny_sam: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny SAM, shared: only read it."""
    return tiny_sam.write_tiny_sam(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def fake_gsplat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`import gsplat` gives builders/fake_gsplat.py, which seems to be compiled."""
    compiled = ModuleType("gsplat.cuda._backend")
    vars(compiled)["_C"] = object()
    monkeypatch.setitem(sys.modules, "gsplat", fake_gsplat_module)
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", compiled)
    gsplat.library.cache_clear()
    yield fake_gsplat_module
    gsplat.library.cache_clear()
