"""Backends that every rendering test runs on, and small random scenes away from cut-offs.

Blending is discontinuous where alpha crosses 1/255, and its gradient where something is clamped.
Near such a point float32 and float64 may fall on different sides, so scenes that are compared
across backends keep a distance from all of them: see `distance_to_cutoffs`.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from splatseg.render import ProjectedGaussians, reference
from splatseg.render.reference import ReferenceBackend

REFERENCE = ReferenceBackend()
NATIVE = ("native/avx512", "native/avx2", "native/portable")
MIN_TRANSMITTANCE = 1e-4  # native's early stop
# Relative. float32 alphas are good to about 1e-6 (the exponent is of order 10, times 2^-24).
CUTOFF_DISTANCE = 1e-5


@dataclass(frozen=True)
class RenderingBackend:
    """A backend, the precision that it works in, and how well its results then agree."""

    name: Literal["gsplat", "native", "reference"]
    dtype: torch.dtype
    tolerance: float
    """Relative to the largest value: rounding of sums of tens of terms, with a factor to spare."""

    def project(
        self, gaussians: Gaussians, camera: Camera, sh_degree: int | None = None
    ) -> ProjectedGaussians:
        return render.project(gaussians, camera, sh_degree=sh_degree, backend=self.name)

    def scene(self, gaussians: Gaussians) -> Gaussians:
        """A copy in the backend's precision that collects gradients."""
        tensors = gaussians.detach().to(self.dtype).tensors()
        return Gaussians(**{k: t.clone().requires_grad_() for k, t in tensors.items()})


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
