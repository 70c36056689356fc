"""The CUDA backend against the float64 specification: over a fake gsplat, and on a GPU if any.

Nothing here has run on a GPU yet.
"""

import importlib
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from builders import fake_gsplat as fake_gsplat_module
from builders.rendering import REFERENCE
from torch import Tensor

from splatseg import render
from splatseg.engine import library as engine
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import ProjectedGaussians, gsplat

GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")
FUNCTIONS = (
    "fully_fused_projection",
    "isect_tiles",
    "isect_offset_encode",
    "rasterize_to_pixels",
    "spherical_harmonics",
)
MIN_TRANSMITTANCE = 1e-4
# A guess until it is measured: gsplat is compiled with -use_fast_math, whose exponential and square
# roots lose two digits or so.
GPU_TOLERANCE = 1e-3
GPU_CUTOFF_DISTANCE = 1e-4


@dataclass(frozen=True)
class Machine:
    """Where gsplat runs, and how well it then agrees: relative to the largest value."""

    device: torch.device
    tolerance: float

    def scene(self, gaussians: Gaussians) -> Gaussians:
        """A copy in float32 on the device that collects gradients."""
        tensors = gaussians.detach().to(self.device, torch.float32).tensors()
        return Gaussians(**{k: t.clone().requires_grad_() for k, t in tensors.items()})

    def to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, torch.float32)

    def project(self, gaussians: Gaussians, camera: Camera) -> ProjectedGaussians:
        return render.project(gaussians, camera, backend="gsplat")

    def assert_near(self, actual: Tensor | None, expected: Tensor | None, what: str) -> None:
        assert actual is not None and expected is not None, what
        assert actual.device.type == self.device.type, what
        assert actual.shape == expected.shape, what
        scale = max(expected.abs().max().item(), 1e-30) if expected.numel() > 0 else 1.0
        error = (actual.cpu().double() - expected).abs().max().item() if expected.numel() else 0.0
        assert error <= self.tolerance * scale, f"{what}: off by {error:.2e} of {scale:.2e}"


@pytest.fixture(params=("fake", "GPU"))
def machine(request: pytest.FixtureRequest) -> Machine:
    """gsplat in plain torch on the CPU, then the real one."""
    if request.param == "fake":
        request.getfixturevalue("fake_gsplat")
        return Machine(torch.device("cpu"), 1e-4)
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    if not gsplat.is_installed():
        pytest.skip("gsplat is not installed")
    return Machine(torch.device("cuda"), GPU_TOLERANCE)


@pytest.fixture
def make_scene(make_smooth_gaussians: Callable[..., Gaussians]) -> Callable[..., Gaussians]:
    """A float64 scene as far from all cut-offs as the less exact arithmetic needs."""

    def make(camera: Camera, count: int = 17, degree: int = 0) -> Gaussians:
        return make_smooth_gaussians(camera, count, degree, GPU_CUTOFF_DISTANCE)

    return make


def reference_scene(gaussians: Gaussians) -> Gaussians:
    return Gaussians(**{k: t.clone().requires_grad_() for k, t in gaussians.tensors().items()})


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.manual_seed(seed), dtype=torch.float64)


def compare(
    machine: Machine,
    gaussians: Gaussians,
    camera: Camera,
    attributes: Tensor,
    pixels: Tensor | None = None,
    depth: bool = False,
) -> None:
    """Images and all gradients, those of the projected centers too, of color and attributes."""
    scenes = {"gsplat": machine.scene(gaussians), "reference": reference_scene(gaussians)}
    results = []
    for backend, scene in scenes.items():
        own = attributes.to(scene.means).requires_grad_()
        view = render.project(scene, camera, backend=backend)
        view.means2d.retain_grad()
        channels = torch.cat([view.colors, own], dim=1)
        rendered = render.rasterize(view, channels, pixels, depth=depth)
        parts = {"image": rendered.image, "alpha": rendered.alpha}
        if rendered.depth is not None:
            parts["depth"] = rendered.depth
        loss = torch.zeros_like(rendered.alpha).sum()
        for part in parts.values():
            loss = loss + (part * (random(*part.shape) - 0.5).to(part)).sum()
        loss.backward()
        gradients = {name: getattr(scene, name).grad for name in GEOMETRY}
        gradients |= {"means2d": view.means2d.grad, "attributes": own.grad}
        results.append(parts | {f"gradient of {name}": g for name, g in gradients.items()})
    for what, expected in results[1].items():
        machine.assert_near(results[0][what], expected, what)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sh_degrees(degree, machine: Machine, make_scene, make_camera):
    camera = make_camera(seed=degree)
    compare(machine, make_scene(camera, 30, degree), camera, random(30, 2))


@pytest.mark.parametrize("size", [(37, 29), (32, 16), (1, 1), (17, 33), (64, 1)], ids=str)
def test_image_sizes(size, machine: Machine, make_scene, make_camera):
    camera = make_camera(*size)
    compare(machine, make_scene(camera, 17, 1), camera, random(17, 1))


@pytest.mark.parametrize("channels", [0, 13, 16, 30, 67])
def test_numbers_of_channels(channels, machine: Machine, make_scene, make_camera):
    camera = make_camera(21, 14)
    compare(machine, make_scene(camera), camera, random(17, channels))


@pytest.mark.parametrize("pixels", [None, torch.tensor([[3, 2], [18, 17], [9, 9], [3, 2]])])
def test_depth_and_pixel_lists(pixels: Tensor | None, machine: Machine, make_scene, make_camera):
    """Pixels are given on the CPU, as clicks are."""
    camera = make_camera(19, 18)
    compare(machine, make_scene(camera), camera, random(17, 1), pixels, depth=True)


def test_projection(machine: Machine, make_scene, make_camera):
    camera = make_camera()
    gaussians = make_scene(camera, 60, 3)
    gaussians.means[::4, 0] += 5.0  # off the image
    gaussians.means[1::4, 2] *= -1.0  # behind the camera
    gaussians.means[2::4] *= 0.2  # close to it
    view = machine.project(gaussians.to(machine.device, torch.float32), camera)
    expected = REFERENCE.project(gaussians, camera, 3)
    visible = view.visible.cpu()
    assert 0 < visible.sum() < 60
    # Radii are rounded up to whole pixels, so a few more are visible than the reference says.
    assert not (expected.visible & ~visible).any()
    assert not view.opacities[~view.visible].any() and bool((view.colors >= 0).all())
    for name in ("means2d", "conics", "depths", "opacities", "colors"):
        machine.assert_near(
            getattr(view, name)[view.visible], getattr(expected, name)[visible], name
        )


def test_splat_is_the_transpose_of_render(machine: Machine, make_gaussians, make_camera):
    view = machine.project(machine.scene(make_gaussians(40)), make_camera())
    attributes, values = machine.to(random(40, 19)), machine.to(random(29, 37, 19))
    votes = render.backproject(view, values)
    assert not votes.requires_grad
    inner = (render.rasterize(view, attributes).image * values).sum()
    torch.testing.assert_close((votes * attributes).sum(), inner, rtol=1e-4, atol=0.0)
    pixels = torch.tensor([[3, 4], [36, 28], [3, 4]])
    votes = render.backproject(view, values[:3, 0], pixels)
    inner = (render.rasterize(view, attributes, pixels).image * values[:3, 0]).sum()
    torch.testing.assert_close((votes * attributes).sum(), inner, rtol=1e-4, atol=0.0)


def test_early_stop(machine: Machine, make_gaussians, make_camera):
    """Sixty almost opaque, wide Gaussians behind each other.

    Where T (1 - alpha) would fall to 1e-4 gsplat, unlike our engine, leaves that Gaussian out too.
    """
    camera, gaussians = make_camera(), make_gaussians(60)
    gaussians.means[:, :2] *= 0.3
    gaussians.log_scales[:] = -0.5 + 0.2 * gaussians.log_scales
    gaussians.logit_opacities[:] = 3.0
    attributes = random(60, 3)
    expected = render.rasterize(REFERENCE.project(gaussians, camera, 0), attributes)
    assert expected.alpha.max() > 1 - 1e-6, "nothing stops early in this scene"
    scene = machine.scene(gaussians)
    rendered = render.render(machine.project(scene, camera), machine.to(attributes))
    left_out = MIN_TRANSMITTANCE / (1 - gaussians.opacities.max().item())
    for actual, wanted in ((rendered.image, expected.image), (rendered.alpha, expected.alpha)):
        assert (actual.cpu() - wanted).abs().max() < left_out + machine.tolerance
    rendered.image.sum().backward()
    for name in GEOMETRY[:4]:
        assert bool(getattr(scene, name).grad.isfinite().all())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("means", [math.nan, 0.0, 3.0]),
        ("means", [0.0, 0.0, math.inf]),
        ("means", [0.0, 0.0, -3.0]),
        ("quats", [math.nan, 0.0, 0.0, 1.0]),
        ("log_scales", [400.0, 400.0, 400.0]),
        ("log_scales", [0.0, math.nan, 0.0]),
        ("logit_opacities", [math.nan]),
        ("logit_opacities", [-math.inf]),
    ],
    ids=str,
)
def test_broken_gaussians_harm_no_other(
    field, value: list[float], machine: Machine, make_scene, make_camera
):
    camera, victim = make_camera(), 3
    gaussians = make_scene(camera, 20)
    others = torch.arange(20) != victim
    healthy = machine.scene(gaussians.select(others))
    stored = gaussians.tensors()[field]
    stored[victim] = torch.tensor(value).reshape(stored[victim].shape)
    broken = machine.scene(gaussians)
    images = []
    for scene in (broken, healthy):
        view = machine.project(scene, camera)
        images.append(render.rasterize(view, view.colors).image)
        images[-1].square().sum().backward()
    machine.assert_near(images[0], images[1].detach().cpu().double(), "image")
    for name in GEOMETRY:
        gradient, expected = getattr(broken, name).grad[others], getattr(healthy, name).grad
        machine.assert_near(gradient, expected.cpu().double(), f"gradient of {name}")


def test_an_empty_scene_is_black(machine: Machine, make_gaussians, make_camera):
    """gsplat would divide by the number of Gaussians, which ends the process."""
    view = machine.project(machine.scene(make_gaussians(0)), make_camera())
    rendered = render.rasterize(view, view.colors, depth=True)
    assert rendered.image.shape == (29, 37, 3) and not rendered.image.any()
    assert rendered.image.device.type == machine.device.type
    assert render.backproject(view, machine.to(random(29, 37, 2))).shape == (0, 2)


def test_it_agrees_with_the_native_engine(machine: Machine, make_gaussians, make_camera):
    """Many Gaussians, cut-offs and all: where alpha is at one, pixels differ by a 1/255."""
    if not engine.is_available():
        pytest.skip("the native engine was not compiled")
    camera, gaussians = make_camera(160, 120), make_gaussians(2000, 2).to(torch.float32)
    gaussians.log_scales[:] -= 1.0
    native = render.render(render.project(gaussians, camera, backend="native"), gaussians.means)
    view = machine.project(gaussians.to(machine.device), camera)
    image = render.rasterize(view, gaussians.means.to(machine.device)).image.cpu()
    scale = gaussians.means.abs().max()
    assert (image - native.image).abs().max() < scale * 2 / 255
    assert (image - native.image).abs().median() < scale * machine.tolerance


# Which backend, and what it needs


def test_the_backend_is_that_of_the_device(monkeypatch):
    assert render.default_backend("cuda") == "gsplat"
    assert render.default_backend(torch.device("cuda", 1)) == "gsplat"
    assert render.default_backend("meta") == "reference"
    monkeypatch.setattr(engine, "is_available", lambda: True)
    assert render.default_backend("cpu") == "native"
    monkeypatch.setattr(engine, "is_available", lambda: False)
    assert render.default_backend("cpu") == "reference"


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
    def fail(name: str) -> ModuleType:
        raise error("nvcc says no")

    monkeypatch.setattr(importlib, "import_module", fail)
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


def test_the_fake_has_the_signatures_of_gsplat():
    if not gsplat.is_installed():
        pytest.skip("gsplat is not installed")
    real = importlib.import_module("gsplat")
    if real.__version__ != "1.5.3":
        pytest.skip(f"the fake is of gsplat 1.5.3, installed is {real.__version__}")
    for name in FUNCTIONS:
        signatures = [
            inspect.signature(getattr(module, name)) for module in (real, fake_gsplat_module)
        ]
        real_ones, fakes = (
            [(p.name, p.kind, p.default) for p in signature.parameters.values()]
            for signature in signatures
        )
        assert real_ones == fakes, name
