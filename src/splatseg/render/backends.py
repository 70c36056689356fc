"""The registry of backends: a new one is a line here."""

import torch

from splatseg.errors import SplatsegError
from splatseg.render.backend import Backend
from splatseg.render.gsplat import GsplatBackend
from splatseg.render.native import NativeBackend
from splatseg.render.reference import ReferenceBackend

BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (GsplatBackend(), NativeBackend(), ReferenceBackend())
}
"""By name, the preferred ones first."""


def default_backend(device: torch.device | str = "cpu") -> Backend:
    """The backend for Gaussians on `device`: the first of the registry that renders there.

    On CUDA that is "gsplat"; on the CPU "native", where the engine was compiled; else "reference",
    which is correct, and slow.
    """
    where = torch.device(device)
    return next(backend for backend in BACKENDS.values() if backend.renders_on(where))


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        SplatsegError: there is none.
    """
    if name not in BACKENDS:
        raise SplatsegError(
            f"there is no backend {name}",
            expected=f"one of {', '.join(BACKENDS)}",
        )
    return BACKENDS[name]
