"""The portable kernels on their own, compiled by hand: on this machine, and for aarch64 under qemu.

`portability/selftest.cpp` runs the engine through its C ABI on a case that is computed here in
float64 by the specification. Debian's packages for aarch64: g++-aarch64-linux-gnu and qemu-user.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from builders.rendering import REFERENCE
from torch import Tensor

from splatseg.engine.adam import BETA1, BETA2, EPSILON
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.losses import photometric

NATIVE = Path(__file__).parents[2] / "native"
SELFTEST = Path(__file__).parent / "portability" / "selftest.cpp"
STAGES = (
    *("table", "project", "bin", "blend_forward", "blend_backward", "blend_pixels", "blend_labels"),
    *("ssim", "adam"),
)
# As CMakeLists.txt compiles, but for the optimization, which takes most of the time. On aarch64 -O3
# fuses multiplications with additions: -O1 does so only with -fexpensive-optimizations, and without
# it the test would be of another arithmetic. The portable kernels fuse nothing on x86, so -O0 will
# do there.
FLAGS = ("-std=gnu++17", "-fno-math-errno", "-fno-trapping-math", "-pthread")
OPTIMIZED = ("-O1", "-fexpensive-optimizations")
COMPILE_SECONDS, RUN_SECONDS = 300, 120  # many times what a slow machine needs
FEATURES, SH_DEGREE = 19, 3
GRADIENT_STEPS = {1: "adam/gradient1", 4: "adam/gradient2"}  # the steps between have no gradient
LAST_STEPS = {"adam/gradient1": 3, "adam/gradient2": 4}
RATES_PERIOD = 48  # three rates, repeated to a multiple of 16

Case = dict[str, Tensor]


def random_like(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Float64 values that fit float32."""
    return torch.randn(shape, generator=generator).double()


def blending_case(
    name: str, gaussians: Gaussians, camera: Camera, features: Tensor | None, pixels: Tensor | None
) -> Case:
    """Image, alpha and every gradient; of color where there are no `features`."""
    scene = Gaussians(**{k: t.clone().requires_grad_() for k, t in gaussians.tensors().items()})
    view = REFERENCE.project(scene, camera, SH_DEGREE)
    attributes = view.colors if features is None else features.clone().requires_grad_()
    attributes.retain_grad()
    image, alpha = REFERENCE.rasterize(view, attributes, pixels)
    generator = torch.Generator().manual_seed(7)
    incoming = [random_like(part.shape, generator) for part in (image, alpha)]
    torch.autograd.backward([image, alpha], incoming)

    def planar(values: Tensor) -> Tensor:
        return values.movedim(-1, 0) if pixels is None else values

    fields = ("means", "quats", "log_scales", "logit_opacities", "sh")
    grads = {f"grad_{field}": getattr(scene, field).grad for field in fields}
    case = {
        "image": planar(image),
        "alpha": alpha,
        "incoming_image": planar(incoming[0]),
        "incoming_alpha": incoming[1],
        "grad_attributes": attributes.grad,
        # Blended features leave color, and so the spherical harmonics, alone.
        **{k: torch.zeros_like(gaussians.sh) if g is None else g for k, g in grads.items()},
    }
    return {f"{name}/{key}": value.detach() for key, value in case.items() if value is not None}


def photometric_case(camera: Camera, generator: torch.Generator) -> Case:
    a, b = torch.rand(2, camera.height, camera.width, 3, generator=generator).double()
    a.requires_grad_()
    weight = photometric.SSIM_WEIGHT
    l1, ssim = (a - b).abs().mean(), photometric.ssim(a, b)
    ((1 - weight) * l1 + weight * (1 - ssim)).backward()
    assert a.grad is not None
    return {
        "photometric/a": a.detach().movedim(-1, 0),
        "photometric/b": b.movedim(-1, 0),
        "photometric/weight": torch.tensor([weight]),
        "photometric/parts": torch.stack([l1, ssim]).detach(),
        "photometric/grad": a.grad.movedim(-1, 0),
    }


def adam_case(generator: torch.Generator) -> Case:
    """torch's own Adam, at rate 1 from 0: its steps do not depend on where the parameter is."""
    before = random_like(torch.Size((67, 3)), generator)
    gradients = {name: random_like(before.shape, generator) for name in GRADIENT_STEPS.values()}
    moved = torch.zeros_like(before, requires_grad=True)
    adam = torch.optim.Adam([moved], lr=1.0, betas=(BETA1, BETA2), eps=EPSILON)
    for step in range(1, max(LAST_STEPS.values()) + 1):
        name = GRADIENT_STEPS.get(step)
        moved.grad = torch.zeros_like(before) if name is None else gradients[name]
        adam.step()
    rates = torch.tensor([0.25, 0.125, 0.5], dtype=torch.float64)
    return {
        "adam/before": before,
        "adam/betas": torch.tensor([BETA1, BETA2, EPSILON], dtype=torch.float64),
        "adam/rates": rates.repeat(RATES_PERIOD // 3),
        "adam/after": before + rates * moved.detach(),
        "adam/moment1": adam.state[moved]["exp_avg"],
        "adam/moment2": adam.state[moved]["exp_avg_sq"],
        **gradients,
        **{f"{name}_last_step": torch.tensor([step]) for name, step in LAST_STEPS.items()},
    }


def whole_case(gaussians: Gaussians, camera: Camera) -> Case:
    generator = torch.Generator().manual_seed(5)
    view = REFERENCE.project(gaussians, camera, SH_DEGREE)
    features = random_like(torch.Size((len(gaussians), FEATURES)), generator)
    size = torch.tensor([camera.width, camera.height])
    pixels = (torch.rand(201, 2, generator=generator) * size).long()
    projected = ("means2d", "conics", "depths", "opacities", "colors")
    stored = ("means", "quats", "log_scales", "logit_opacities", "sh")
    return {
        **{field: getattr(gaussians, field) for field in stored},
        "features": features,
        "sh_degree": torch.tensor([SH_DEGREE]),
        "cam_from_world": camera.cam_from_world,
        "position": camera.position,
        "intrinsics": torch.tensor(
            [camera.fx, camera.fy, camera.cx, camera.cy, camera.near], dtype=torch.float64
        ),
        "width": size[:1],
        "height": size[1:],
        "pixels": pixels,
        **{f"project/{field}": getattr(view, field) for field in projected},
        **blending_case("colors", gaussians, camera, None, None),
        **blending_case("features", gaussians, camera, features, None),
        **blending_case("samples", gaussians, camera, features, pixels),
        **photometric_case(camera, generator),
        **adam_case(generator),
    }


@pytest.fixture
def case_file(
    tmp_path: Path, make_camera: Callable[..., Camera], make_smooth_gaussians: Callable
) -> Path:
    camera = make_camera(70, 50)
    case = whole_case(make_smooth_gaussians(camera, count=300, degree=SH_DEGREE), camera)
    path = tmp_path / "case.bin"
    with path.open("wb") as file:
        for name, tensor in case.items():
            file.write(struct.pack("<Q", len(name)) + name.encode())
            file.write(struct.pack("<Q", tensor.numel()))
            file.write(tensor.detach().double().contiguous().numpy().astype("<f8").tobytes())
    return path


def found(*programs: str) -> list[str]:
    """Where the first of them that is installed lies; skips the test where none is."""
    for program in programs:
        path = shutil.which(program)
        if path is not None:
            return [path]
    pytest.skip(f"{' or '.join(programs)} is not installed")


def build(compiler: list[str], folder: Path) -> Path:
    """The selftest with the portable kernels only, whatever the machine."""
    command = [*compiler, *FLAGS, f"-I{NATIVE}", "-DSPLATSEG_ISA=portable"]

    def compiled(unit: Path) -> str:
        result = str(folder / f"{unit.stem}.o")
        run([*command, "-c", str(unit), "-o", result], COMPILE_SECONDS)
        return result

    units = [*(NATIVE / f"{name}.cpp" for name in ("engine", "threads", *STAGES)), SELFTEST]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, units))
    program = folder / "selftest"
    run([*command, *objects, "-o", str(program)], COMPILE_SECONDS)
    return program


def run(command: list[str], seconds: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def check(output: str) -> None:
    """Every quantity was compared, with one thread and with three."""
    print(output)
    sets = {line.split()[0] for line in output.splitlines()}
    assert sets == {"portable/1", "portable/3"}
    quantities = {line.split()[1] for line in output.splitlines()}
    assert {"colors/image", "samples/grad_means", "photometric/grad", "adam/after"} <= quantities


def test_the_portable_kernels_compiled_here(tmp_path, case_file):
    program = build([*found("g++", "clang++", "c++"), "-O0"], tmp_path)
    check(run([str(program), str(case_file)], RUN_SECONDS))


def test_the_portable_kernels_on_aarch64(tmp_path, case_file):
    compiler = [*found("aarch64-linux-gnu-g++"), *OPTIMIZED]
    emulator = [*found("qemu-aarch64", "qemu-aarch64-static"), "-L", "/usr/aarch64-linux-gnu"]
    check(run([*emulator, str(build(compiler, tmp_path)), str(case_file)], RUN_SECONDS))
