"""Backends that every rendering test runs on, and small random scenes away from cut-offs.

Blending is discontinuous where alpha crosses 1/255, and its gradient where something is clamped.
Near such a point float32 and float64 may fall on different sides, so scenes that are compared
across backends keep a distance from all of them: see `distance_to_cutoffs`.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from splatseg import render
from splatseg.engine import library as engine
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import rotation_matrices
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.render import ProjectedGaussians, Rendered, gsplat, reference
from splatseg.render.reference import ReferenceBackend

CPU = torch.device("cpu")
REFERENCE = ReferenceBackend()
GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")
# Relative to the largest value. float32 keeps 6e-8; an alpha loses two digits in its exponent, and
# a gradient sums hundreds of pixels whose terms cancel.
FAST_TOLERANCE = 1e-4
# A guess until it is measured: gsplat is compiled with -use_fast_math, whose exponential and square
# roots lose two digits or so.
GPU_TOLERANCE = 1e-3
# Depth divides by alpha, which goes down to 1/255: rounding grows that much.
DEPTH_TOLERANCE = 1e-3
NATIVE = ("native/avx512", "native/avx2", "native/portable")
MIN_TRANSMITTANCE = 1e-4  # native's early stop
# A field of one Gaussian, and what breaks it: the Gaussian is then invisible.
NAN, INF = math.nan, math.inf
OVERFLOW = 400.0  # exp(2 x 400) is infinite in float64, too
POISON: dict[str, tuple[str, list[float]]] = {
    "mean NaN": ("means", [NAN, 0.0, 3.0]),
    "depth NaN": ("means", [0.0, 0.0, NAN]),
    "mean infinite": ("means", [INF, 0.0, 3.0]),
    "mean infinitely far": ("means", [0.0, 0.0, INF]),
    "mean minus infinity": ("means", [0.0, 0.0, -INF]),
    "behind the camera": ("means", [0.0, 0.0, -3.0]),
    "quaternion NaN": ("quats", [NAN, 0.0, 0.0, 1.0]),
    "scale NaN": ("log_scales", [0.0, NAN, 0.0]),
    "scale overflows": ("log_scales", [OVERFLOW, OVERFLOW, OVERFLOW]),
    "scale infinite": ("log_scales", [INF, 0.0, 0.0]),
    "opacity NaN": ("logit_opacities", [NAN]),
    "opacity 0": ("logit_opacities", [-INF]),
    "opacity almost 0": ("logit_opacities", [-OVERFLOW]),
}
VICTIM = 3  # the Gaussian that is broken, in the middle of a vector of sixteen
# Relative. float32 alphas are good to about 1e-6 (the exponent is of order 10, times 2^-24).
CUTOFF_DISTANCE = 1e-5
FAST_CUTOFF_DISTANCE = 1e-4  # less exact arithmetic needs more


@dataclass(frozen=True)
class RenderingBackend:
    """A backend, the precision that it works in, and how well its results then agree."""

    name: Literal["gsplat", "native", "reference"]
    dtype: torch.dtype
    tolerance: float
    """Relative to the largest value: rounding of sums of tens of terms, with a factor to spare."""
    device: torch.device = CPU

    def project(
        self, gaussians: Gaussians, camera: Camera, sh_degree: int | None = None
    ) -> ProjectedGaussians:
        return render.project(gaussians, camera, sh_degree=sh_degree, backend=self.name)

    def scene(self, gaussians: Gaussians) -> Gaussians:
        """A copy in the backend's precision that collects gradients."""
        return with_gradients(gaussians.detach().to(self.device, self.dtype))

    def to(self, tensor: Tensor) -> Tensor:
        """A tensor in the backend's precision, on its device."""
        return tensor.to(self.device, self.dtype)

    def assert_near(
        self, actual: Tensor | None, expected: Tensor | None, what: str, tolerance: float = 0.0
    ) -> None:
        """Whether a float32 result agrees with the float64 one; `tolerance` may be larger here."""
        assert actual is not None and expected is not None, what
        assert actual.device.type == self.device.type and actual.shape == expected.shape, what
        if expected.numel() == 0:
            return
        scale = max(expected.abs().max().item(), 1e-30)
        error = (actual.cpu().double() - expected).abs().max().item() / scale
        assert error <= max(tolerance, self.tolerance), f"{what}: {error:.2e} of the largest value"


def with_gradients(gaussians: Gaussians) -> Gaussians:
    """A copy that collects gradients."""
    return Gaussians(**{k: t.clone().requires_grad_() for k, t in gaussians.tensors().items()})


def poisoned(gaussians: Gaussians, field: str, value: list[float]) -> Gaussians:
    """`gaussians` with one value of the victim replaced."""
    stored = gaussians.tensors()[field].clone()
    stored[VICTIM] = torch.tensor(value).to(stored).reshape(stored[VICTIM].shape)
    return replace(gaussians, **{field: stored})


def compare(
    fast: RenderingBackend,
    gaussians: Gaussians,
    camera: Camera,
    attributes: Tensor,
    pixels: Tensor | None = None,
    depth: bool = False,
    colors: bool = True,
) -> None:
    """Images and all gradients of color and attributes, of a backend and of the specification.

    Without `colors` the attributes alone are drawn.
    """
    results = []
    for scene, name in (
        (fast.scene(gaussians), fast.name),
        (with_gradients(gaussians), "reference"),
    ):
        own = attributes.to(scene.means).clone().requires_grad_()
        view = render.project(scene, camera, backend=name)
        view.means2d.retain_grad()
        channels = torch.cat([view.colors, own], dim=1) if colors else own
        rendered = render.rasterize(view, channels, pixels, depth=depth)
        mixed_loss(rendered).backward()
        gradients = {k: getattr(scene, k).grad for k in (GEOMETRY if colors else GEOMETRY[:4])}
        if fast.name == "gsplat":  # the engine goes from pixels to Gaussians in one step
            gradients["means2d"] = view.means2d.grad
        parts = {"image": rendered.image, "alpha": rendered.alpha}
        parts |= {"depth": rendered.depth} if depth else {}
        results.append((parts, gradients | {"attributes": own.grad}))
    (parts, gradients), (expected, expected_gradients) = results
    tolerance = DEPTH_TOLERANCE if depth else 0.0
    for what, values in parts.items():
        fast.assert_near(values, expected[what], what, tolerance if what == "depth" else 0.0)
    for what, values in gradients.items():
        fast.assert_near(values, expected_gradients[what], f"gradient of {what}", tolerance)


def mixed_loss(rendered: Rendered, seed: int = 0) -> Tensor:
    """A random mixture of every value of the image, alpha and (if there is one) depth."""
    generator = torch.Generator().manual_seed(seed)
    loss = rendered.image.new_zeros(())
    for part in (rendered.image, rendered.alpha, rendered.depth):
        if part is not None:
            weights = torch.randn(part.shape, generator=generator, dtype=torch.float64)
            loss = loss + (part * weights.to(part)).sum()
    return loss


def random_attributes(count: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(count, channels, generator=generator, dtype=torch.float64)


def _use(name: str) -> Iterator[RenderingBackend]:
    if name == "reference":
        yield RenderingBackend("reference", torch.float64, 1e-10)
        return
    if name == "gsplat/fake":
        yield RenderingBackend("gsplat", torch.float32, 2e-5)
        return
    if not engine.is_available():
        pytest.skip("the native engine was not compiled")
    instruction_set = name.removeprefix("native/")
    if instruction_set not in engine.instruction_sets():
        pytest.skip(f"this machine cannot run {instruction_set}")
    before = engine.instruction_set()
    engine.use_instruction_set(instruction_set)
    yield RenderingBackend("native", torch.float32, 2e-5)
    engine.use_instruction_set(before)


@pytest.fixture(params=("reference", *NATIVE, "gsplat/fake"))
def backend(request: pytest.FixtureRequest) -> Iterator[RenderingBackend]:
    """Each backend in turn; native once for each instruction set, gsplat over a fake of itself.

    These tests are on the CPU; test_gsplat.py has those for a GPU.
    """
    if request.param == "gsplat/fake":
        request.getfixturevalue("fake_gsplat")
    yield from _use(request.param)


@pytest.fixture(params=NATIVE)
def native(request: pytest.FixtureRequest) -> Iterator[RenderingBackend]:
    """The native backend, once for each instruction set."""
    yield from _use(request.param)


@pytest.fixture(
    params=(("native/avx512", 1), *((name, 2) for name in NATIVE), "fake", "GPU"), ids=str
)
def fast(request: pytest.FixtureRequest) -> Iterator[RenderingBackend]:
    """All but the reference: the engine by instruction set and threads, gsplat fake and real."""
    if isinstance(request.param, tuple):
        name, count = request.param
        for backend in _use(name):
            before = engine.threads()
            engine.set_threads(count)
            yield replace(backend, tolerance=FAST_TOLERANCE)
            engine.set_threads(before)
        return
    yield _use_gsplat(request)


@pytest.fixture(params=("fake", "GPU"))
def gsplat_backend(request: pytest.FixtureRequest) -> RenderingBackend:
    """gsplat in plain torch on the CPU, then the real one."""
    return _use_gsplat(request)


def _use_gsplat(request: pytest.FixtureRequest) -> RenderingBackend:
    if request.param == "fake":
        request.getfixturevalue("fake_gsplat")
        return RenderingBackend("gsplat", torch.float32, FAST_TOLERANCE)
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    if not gsplat.is_installed():
        pytest.skip("gsplat is not installed")
    return RenderingBackend("gsplat", torch.float32, GPU_TOLERANCE, torch.device("cuda"))


@pytest.fixture(params=(1, 2))
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """A number of engine threads."""
    if not engine.is_available():
        if request.param > 1:
            pytest.skip("the native engine, which has threads, was not compiled")
        yield request.param
        return
    before = engine.threads()
    engine.set_threads(request.param)
    yield request.param
    engine.set_threads(before)


def build_camera(width: int = 37, height: int = 29, seed: int = 0) -> Camera:
    """A camera near the origin that looks roughly along z, with all intrinsics different."""
    generator = torch.Generator().manual_seed(seed)
    quat = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    quat = quat + 0.05 * torch.randn(1, 4, generator=generator, dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation_matrices(quat)[0]
    pose[:3, 3] = 0.1 * torch.randn(3, generator=generator, dtype=torch.float64)
    size = max(width, height)
    return Camera(
        pose,
        fx=0.9 * size,
        fy=1.1 * size,
        cx=0.48 * width,
        cy=0.53 * height,
        width=width,
        height=height,
    )


def build_gaussians(
    count: int = 17, degree: int = 0, seed: int = 0, features: int = 0
) -> Gaussians:
    """Random anisotropic Gaussians in front of `build_camera`; float64 values that fit float32."""
    generator = torch.Generator().manual_seed(1000 + seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    z = uniform(2.0, 5.0, count, 1)
    sh = 0.1 * normal(count, (degree + 1) ** 2, 3)
    sh[:, 0] = uniform(-1.0, 1.0, count, 3)
    gaussians = Gaussians(
        means=torch.cat([uniform(-0.5, 0.5, count, 2) * z, z], dim=1),
        quats=normal(count, 4),
        log_scales=uniform(math.log(0.05), math.log(0.4), count, 3),
        logit_opacities=uniform(-2.0, 1.0, count),
        sh=sh,
        features=normal(count, features),
    )
    return gaussians.to(torch.float64)


def distance_to_cutoffs(gaussians: Gaussians, camera: Camera) -> float:
    """How far the scene is from where an image or its gradient jumps; 0 if natively it stops."""
    view = REFERENCE.project(gaussians, camera, gaussians.sh_degree)
    columns, rows = torch.arange(camera.width) + 0.5, torch.arange(camera.height) + 0.5
    offsets = torch.cartesian_prod(columns, rows)[:, None] - view.means2d
    dx, dy = offsets.unbind(-1)
    xx, xy, yy = view.conics.unbind(-1)
    alpha = view.opacities * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    seen = torch.where(alpha > reference.MIN_ALPHA, alpha.clamp_max(reference.MAX_ALPHA), 0.0)
    if bool(((1 - seen).prod(dim=-1) < 2 * MIN_TRANSMITTANCE).any()):
        return 0.0
    pose = camera.cam_from_world
    in_camera = gaussians.means @ pose[:3, :3].T + pose[:3, 3]
    x, y = (in_camera[:, :2] / in_camera[:, 2:]).unbind(-1)
    margin_x, margin_y = reference.MARGIN * camera.width, reference.MARGIN * camera.height
    basis = sh_basis(
        torch.nn.functional.normalize(gaussians.means - camera.position, dim=-1),
        gaussians.sh_degree,
    )
    color = 0.5 + torch.einsum("nk,nkc->nc", basis, gaussians.sh)
    distances = [
        (alpha / reference.MIN_ALPHA - 1).abs(),
        (alpha / reference.MAX_ALPHA - 1).abs(),
        (view.depths - view.camera.near).abs(),
        view.depths.sort().values.diff(),
        (camera.fx * x + camera.cx + margin_x).abs(),
        (camera.fx * x + camera.cx - margin_x - camera.width).abs(),
        (camera.fy * y + camera.cy + margin_y).abs(),
        (camera.fy * y + camera.cy - margin_y - camera.height).abs(),
        color.abs(),
    ]
    return min((d.min().item() for d in distances if d.numel() > 0), default=math.inf)


@pytest.fixture
def make_camera() -> Callable[..., Camera]:
    """See `build_camera`."""
    return build_camera


@pytest.fixture
def make_gaussians() -> Callable[..., Gaussians]:
    """See `build_gaussians`."""
    return build_gaussians


@pytest.fixture
def make_smooth_gaussians() -> Callable[..., Gaussians]:
    """`build_gaussians` at the first seed whose scene keeps a distance from all cut-offs."""

    def make(
        camera: Camera, count: int = 17, degree: int = 0, distance: float = CUTOFF_DISTANCE
    ) -> Gaussians:
        for seed in itertools.count():
            gaussians = build_gaussians(count, degree, seed)
            if distance_to_cutoffs(gaussians, camera) > distance:
                return gaussians
        raise AssertionError("unreachable")

    return make
