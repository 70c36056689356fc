"""ctypes binding of the native engine (`native/splatseg.h`): arrays in, arrays out, no autograd.

Tensors are float32, contiguous, on the CPU; `dense` makes them so.
"""

import ctypes
import functools
import sys
from ctypes import POINTER, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

ABI = 4
LIBRARY_NAMES = {"win32": "splatseg_engine.dll", "darwin": "libsplatseg_engine.dylib"}


class CCamera(ctypes.Structure):
    """`splatseg_camera`."""

    _fields_ = (
        ("rotation", c_float * 9),
        ("translation", c_float * 3),
        ("position", c_float * 3),
        ("fx", c_float),
        ("fy", c_float),
        ("cx", c_float),
        ("cy", c_float),
        ("near_plane", c_float),
        ("width", c_int32),
        ("height", c_int32),
    )


class CGaussians(ctypes.Structure):
    """`splatseg_gaussians`."""

    _fields_ = (
        ("n", c_int64),
        ("means", c_void_p),
        ("quats", c_void_p),
        ("log_scales", c_void_p),
        ("logit_opacities", c_void_p),
        ("sh", c_void_p),
        ("sh_stride", c_int32),
        ("sh_degree", c_int32),
    )


class CProjected(ctypes.Structure):
    """`splatseg_projected`."""

    _fields_ = (
        ("means2d", c_void_p),
        ("conics", c_void_p),
        ("depths", c_void_p),
        ("opacities", c_void_p),
        ("colors", c_void_p),
    )


class CAdamStep(ctypes.Structure):
    """`splatseg_adam_step`."""

    _fields_ = (
        ("inv_bias1", c_float),
        ("inv_bias2", c_float),
        ("beta1", c_float),
        ("beta2", c_float),
        ("epsilon", c_float),
    )


@functools.cache
def find_library() -> Path | None:
    """The compiled engine beside this module, or None where it was not built.

    An editable install keeps it in site-packages, apart from the sources.
    """
    name = LIBRARY_NAMES.get(sys.platform, "libsplatseg_engine.so")
    installed = [Path(entry) / "splatseg" / "engine" for entry in sys.path]
    candidates = [folder / name for folder in (Path(__file__).parent, *installed)]
    return next((path for path in candidates if path.is_file()), None)


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded engine.

    Raises:
        SplatsegError: it was not compiled, or belongs to another version of splatseg.
    """
    path = find_library()
    if path is None:
        raise SplatsegError(
            "the native engine was not compiled with this installation",
            remedy=(
                "reinstall splatseg where a C++ compiler is available, or render with the "
                "reference backend"
            ),
        )
    lib = ctypes.CDLL(str(path))
    if lib.splatseg_abi() != ABI:
        raise SplatsegError(
            f"{path.name} has ABI {lib.splatseg_abi()}, expected {ABI}",
            remedy="reinstall splatseg",
        )
    _declare(lib)
    return lib


def _declare(lib: ctypes.CDLL) -> None:
    """Tell ctypes what the functions of `native/splatseg.h` take and give."""
    lib.splatseg_instruction_sets.restype = ctypes.c_char_p
    lib.splatseg_instruction_set.restype = ctypes.c_char_p
    lib.splatseg_use_instruction_set.argtypes = [ctypes.c_char_p]
    lib.splatseg_pooled_bytes.restype = c_int64
    lib.splatseg_bin.restype = c_void_p
    lib.splatseg_bin.argtypes = [c_int64, c_int, c_int, POINTER(CProjected), c_void_p]
    lib.splatseg_free_view.argtypes = [c_void_p]
    lib.splatseg_free_view.restype = None
    lib.splatseg_intersections.argtypes = [c_void_p]
    lib.splatseg_intersections.restype = c_int64
    lib.splatseg_project.argtypes = [POINTER(CGaussians), POINTER(CCamera), POINTER(CProjected)]
    lib.splatseg_project_backward.argtypes = [*lib.splatseg_project.argtypes, *[c_void_p] * 5]
    lib.splatseg_render.argtypes = [c_void_p, c_int, *[c_void_p] * 3]
    lib.splatseg_render_backward.argtypes = [c_void_p, c_int, *[c_void_p] * 7]
    lib.splatseg_render_pixels.argtypes = [c_void_p, c_int, c_void_p, c_int64, *[c_void_p] * 3]
    lib.splatseg_render_pixels_backward.argtypes = [
        *(c_void_p, c_int, c_void_p, c_int64),
        *[c_void_p] * 7,
    ]
    lib.splatseg_render_labels.argtypes = [c_void_p] * 4
    lib.splatseg_photometric.argtypes = [
        *(c_int, c_int, c_int, c_void_p, c_void_p, c_float),
        *(POINTER(c_double), c_void_p),
    ]
    lib.splatseg_adam.argtypes = [
        *(c_int64, *[c_void_p] * 5),
        *(c_int, POINTER(CAdamStep), c_int),
    ]
    lib.splatseg_adam.restype = None


def is_available() -> bool:
    """Whether the native engine was compiled with this installation."""
    return find_library() is not None


def instruction_sets() -> list[str]:
    """The instruction sets that this machine can run, best first."""
    return library().splatseg_instruction_sets().decode().split(",")


def instruction_set() -> str:
    """The instruction set in use."""
    return library().splatseg_instruction_set().decode()


def use_instruction_set(name: str) -> None:
    """Run kernels compiled for `name`, one of `instruction_sets()`, from now on."""
    if library().splatseg_use_instruction_set(name.encode()) != 0:
        raise SplatsegError(
            f"instruction set {name} is not available here",
            remedy=f"this machine runs {', '.join(instruction_sets())}",
        )


def set_threads(threads: int) -> None:
    """Use `threads` threads in the engine; results are reproducible for a fixed number."""
    library().splatseg_set_threads(threads)


def threads() -> int:
    """Threads the engine uses; by default one per logical core."""
    return library().splatseg_threads()


def pooled_bytes() -> int:
    """Bytes that the engine holds, in use or kept for reuse."""
    return library().splatseg_pooled_bytes()


def release_pools() -> None:
    """Give scratch memory back to the system; the next call allocates it again."""
    library().splatseg_release_pools()


def dense(tensor: Tensor) -> Tensor:
    """`tensor` as the engine reads it: float32, contiguous, on the CPU."""
    return tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()


def pointer(tensor: Tensor | None) -> int | None:
    """The address of a tensor's data, None for None."""
    return None if tensor is None else tensor.data_ptr()


def check(status: int, what: str) -> None:
    """Raise for a failed engine call."""
    if status != 0:
        raise MemoryError(f"not enough memory to {what}")


def camera_struct(camera: Camera) -> CCamera:
    """`camera` as the engine reads it."""
    pose = camera.cam_from_world
    return CCamera(
        (c_float * 9)(*pose[:3, :3].flatten().tolist()),
        (c_float * 3)(*pose[:3, 3].tolist()),
        (c_float * 3)(*camera.position.tolist()),
        camera.fx,
        camera.fy,
        camera.cx,
        camera.cy,
        camera.near,
        camera.width,
        camera.height,
    )


class TileIntersections:
    """Which Gaussians touch which tile, owned by the engine and freed when collected."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._free = library().splatseg_free_view

    def __del__(self) -> None:
        self._free(self.handle)

    @property
    def count(self) -> int:
        """How many (tile, Gaussian) pairs there are."""
        return library().splatseg_intersections(self.handle)


def intersect_tiles(
    projected: CProjected, count: int, width: int, height: int
) -> tuple[TileIntersections, Tensor]:
    """Sort projected Gaussians into tiles; also which of them touch the image (bool, n)."""
    visible = torch.empty(count, dtype=torch.uint8)
    handle = library().splatseg_bin(count, width, height, projected, visible.data_ptr())
    if handle is None:
        raise MemoryError(f"not enough memory to bin {count} Gaussians")
    return TileIntersections(handle), visible.bool()
