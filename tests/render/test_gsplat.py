"""The CUDA backend against the float64 specification: over a fake gsplat, and on a GPU if any.

Nothing here has run on a GPU yet.
"""

import importlib
import inspect
import sys
from types import ModuleType
from unittest.mock import Mock

import pytest
import torch
from builders import fake_gsplat as fake_gsplat_module
from builders.rendering import (
    FAST_CUTOFF_DISTANCE,
    GEOMETRY,
    POISON,
    REFERENCE,
    VICTIM,
    poisoned,
)

from splatseg import render
from splatseg.engine import library as engine
from splatseg.errors import SplatsegError
from splatseg.render import gsplat

FUNCTIONS = (
    "fully_fused_projection",
    "isect_tiles",
    "isect_offset_encode",
    "rasterize_to_pixels",
    "spherical_harmonics",
)


def test_projection(gsplat_backend, make_smooth_gaussians, make_camera):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 60, 3, FAST_CUTOFF_DISTANCE)
    gaussians.means[::4, 0] += 5.0  # off the image
    gaussians.means[1::4, 2] *= -1.0  # behind the camera
    gaussians.means[2::4] *= 0.2  # close to it
    view = gsplat_backend.project(gaussians.to(gsplat_backend.device, torch.float32), camera)
    expected = REFERENCE.project(gaussians, camera, 3)
    visible = view.visible.cpu()
    assert 0 < visible.sum() < 60
    # Radii are rounded up to whole pixels, so a few more are visible than the reference says.
    assert not (expected.visible & ~visible).any()
    assert not view.opacities[~view.visible].any() and bool((view.colors >= 0).all())
    for name in ("means2d", "conics", "depths", "opacities", "colors"):
        gsplat_backend.assert_near(
            getattr(view, name)[view.visible], getattr(expected, name)[visible], name
        )


@pytest.mark.parametrize("poison", POISON)
def test_broken_gaussians_harm_no_other(poison, gsplat_backend, make_smooth_gaussians, make_camera):
    """As test_poison.py has it, on a GPU as well."""
    camera, others = make_camera(), torch.arange(20) != VICTIM
    gaussians = make_smooth_gaussians(camera, 20, 0, FAST_CUTOFF_DISTANCE)
    broken = gsplat_backend.scene(poisoned(gaussians, *POISON[poison]))
    healthy = gsplat_backend.scene(gaussians.select(others))
    images = []
    for scene in (broken, healthy):
        view = gsplat_backend.project(scene, camera)
        images.append(render.rasterize(view, view.colors).image)
        images[-1].square().sum().backward()
    gsplat_backend.assert_near(images[0], images[1].detach().cpu().double(), "image")
    for name in GEOMETRY:
        gradient, expected = getattr(broken, name).grad[others], getattr(healthy, name).grad
        gsplat_backend.assert_near(gradient, expected.cpu().double(), f"gradient of {name}")


def test_it_agrees_with_the_native_engine(gsplat_backend, make_gaussians, make_camera):
    """Many Gaussians, cut-offs and all: where alpha is at one, pixels differ by a 1/255."""
    if not engine.is_available():
        pytest.skip("the native engine was not compiled")
    camera, gaussians = make_camera(160, 120), make_gaussians(2000, 2).to(torch.float32)
    gaussians.log_scales[:] -= 1.0
    native = render.rasterize(render.project(gaussians, camera, backend="native"), gaussians.means)
    view = gsplat_backend.project(gaussians.to(gsplat_backend.device), camera)
    image = render.rasterize(view, gaussians.means.to(gsplat_backend.device)).image.cpu()
    scale = gaussians.means.abs().max()
    assert (image - native.image).abs().max() < scale * 2 / 255
    assert (image - native.image).abs().median() < scale * gsplat_backend.tolerance


def test_without_gsplat_the_message_says_what_to_install(make_gaussians, make_camera, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    gsplat.library.cache_clear()
    assert not gsplat.is_installed()
    with pytest.raises(SplatsegError, match=r"needs gsplat: pip install splatseg\[cuda\]"):
        render.project(make_gaussians(), make_camera(), backend="gsplat")


def test_without_a_cuda_toolkit_the_message_says_so(fake_gsplat: ModuleType, monkeypatch):
    """gsplat then imports all the same."""
    monkeypatch.setattr(sys.modules["gsplat.cuda._backend"], "_C", None)
    with pytest.raises(SplatsegError, match=r"no CUDA toolkit \(nvcc\)"):
        gsplat.library()


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_failed_compilation_is_told(error: type[Exception], fake_gsplat: ModuleType, monkeypatch):
    monkeypatch.setattr(importlib, "import_module", Mock(side_effect=error("nvcc says no")))
    with pytest.raises(SplatsegError, match="its CUDA code: nvcc says no"):
        gsplat.library()


def test_progress_of_the_compilation_stays_off_stdout(
    fake_gsplat: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch
):
    real = importlib.import_module

    def talk(name: str) -> ModuleType:
        if name.endswith("_backend"):
            print("compiling")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", talk)
    assert gsplat.library() is fake_gsplat
    shown = capsys.readouterr()
    assert shown.out == "" and "compiling" in shown.err


def test_the_fake_takes_what_gsplat_does():
    if not gsplat.is_installed():
        pytest.skip("gsplat is not installed")
    real = importlib.import_module("gsplat")
    if real.__version__ != "1.5.3":
        pytest.skip(f"the fake is of gsplat 1.5.3, installed is {real.__version__}")
    for name in FUNCTIONS:
        actual, faked = (
            inspect.signature(getattr(module, name)).parameters
            for module in (real, fake_gsplat_module)
        )
        placed = [n for n, p in faked.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert list(actual)[: len(placed)] == placed, name
        assert faked.keys() <= actual.keys(), name
