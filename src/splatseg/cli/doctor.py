"""`splatseg doctor`."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from typing import Any

import torch

from splatseg.cli.output import Output
from splatseg.engine import library
from splatseg.errors import SplatsegError
from splatseg.render import default_backend, gsplat
from splatseg.workflows.device import choose_device

REQUIRED = ("torch", "numpy", "scipy", "pillow", "pycolmap", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class Doctor:
    """Say what this machine can run, and what to install for the rest."""

    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Look, and report."""
        compiled = library.is_available()
        cuda = _cuda_state()
        report = {
            "splatseg": _version("splatseg"),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "packages": {name: _version(name) for name in REQUIRED},
            "torch_build": _torch_build(),
            "backend": default_backend("cpu" if cuda["problem"] else "cuda").name,
            "native": _engine_state() if compiled else None,
            "cuda": cuda,
        }
        out.say(f"splatseg {report['splatseg']}, Python {report['python']}, {report['system']}")
        out.say(f"torch {report['packages']['torch']}: {report['torch_build']}")
        if compiled:
            state = _engine_state()
            out.say(
                f"native engine: {state['instruction_set']} (this machine can run "
                f"{', '.join(state['instruction_sets'])}), {state['threads']} threads"
            )
        else:
            out.say(
                "native engine: not compiled. Rendering works in plain torch and is slow; install "
                "a C++ compiler and reinstall splatseg to get it"
            )
        if cuda["problem"]:
            out.say(f"no GPU rendering: {cuda['problem']}")
        else:
            out.say(f"GPU rendering: {cuda['gpu']}, with gsplat {cuda['gsplat']}")
        return report


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from its sources, or put there by hand
        return "unknown"


def _engine_state() -> dict[str, Any]:
    return {
        "instruction_set": library.instruction_set(),
        "instruction_sets": library.instruction_sets(),
        "threads": library.threads(),
    }


def _cuda_state() -> dict[str, Any]:
    """The GPU and gsplat, null where absent, and what keeps `--device cuda` from working.

    Where both are there, gsplat's CUDA code is loaded, and compiled if it never was.
    """
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    version = _version("gsplat") if gsplat.is_installed() else None
    try:
        choose_device("cuda")
    except SplatsegError as error:
        return {"gpu": gpu, "gsplat": version, "problem": str(error)}
    return {"gpu": gpu, "gsplat": version, "problem": None}


def _torch_build() -> str:
    if torch.version.cuda is None:
        return "CPU build"
    found = "finds a GPU" if torch.cuda.is_available() else "but no GPU answers"
    return f"built for CUDA {torch.version.cuda}, {found}"
