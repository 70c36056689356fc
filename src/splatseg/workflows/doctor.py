"""What this machine can run."""

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

from splatseg.engine import library
from splatseg.errors import SplatsegError
from splatseg.render import default_backend, gsplat
from splatseg.version import __version__
from splatseg.workflows.device import choose_device

REQUIRED = ("torch", "numpy", "scipy", "pillow", "pycolmap", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class EngineState:
    """The compiled engine."""

    instruction_set: str
    """In use."""
    instruction_sets: list[str]
    """That this machine can run, best first."""
    threads: int


@dataclass(frozen=True)
class CudaState:
    """The GPU and gsplat."""

    gpu: str | None
    """Its name; None where torch finds none."""
    gsplat: str | None
    """Its version; None where it is not installed."""
    problem: str | None
    """What keeps it from rendering; None where it can."""


@dataclass(frozen=True)
class MachineReport:
    """Versions, backends, and why some are missing."""

    splatseg: str
    python: str
    system: str
    packages: dict[str, str]
    torch_build: str
    backend: str
    """The name of the backend that commands take."""
    native: EngineState | None
    """None where the engine was not compiled."""
    cuda: CudaState

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def inspect_machine() -> MachineReport:
    """Look at what is installed and what it can run.

    Where a GPU and gsplat are there, gsplat's CUDA code is loaded, and compiled if it never was.
    """
    cuda = _cuda_state()
    return MachineReport(
        splatseg=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        packages={name: _version(name) for name in REQUIRED},
        torch_build=_torch_build(),
        backend=default_backend("cpu" if cuda.problem else "cuda").name,
        native=_engine_state() if library.is_available() else None,
        cuda=cuda,
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # put there by hand
        return "unknown"


def _engine_state() -> EngineState:
    return EngineState(
        instruction_set=library.instruction_set(),
        instruction_sets=library.instruction_sets(),
        threads=library.threads(),
    )


def _cuda_state() -> CudaState:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    version = _version("gsplat") if gsplat.is_installed() else None
    try:
        choose_device("cuda")
    except SplatsegError as error:
        return CudaState(gpu, version, str(error))
    return CudaState(gpu, version, None)


def _torch_build() -> str:
    if torch.version.cuda is None:
        return "CPU build"
    found = "finds a GPU" if torch.cuda.is_available() else "but no GPU answers"
    return f"built for CUDA {torch.version.cuda}, {found}"
