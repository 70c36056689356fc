"""Where a command computes: `--device`."""

from typing import Annotated, Literal

import torch
import tyro

from splatseg.errors import SplatsegError
from splatseg.render import gsplat

Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    tyro.conf.arg(
        help="Where to compute. auto: the GPU if torch finds one and gsplat is installed, else the "
        "CPU."
    ),
]


def choose_device(name: Device) -> torch.device:
    """The device of that name, ready to render on.

    Raises:
        SplatsegError: cuda, asked for or found by auto, lacks a GPU, gsplat, or what gsplat needs.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not (has_gpu and gsplat.is_installed())):
        return torch.device("cpu")
    if not has_gpu:
        raise SplatsegError(
            "torch finds no GPU",
            remedy=(
                "--device cuda needs an NVIDIA card, its driver, and a build of torch for CUDA"
            ),
        )
    gsplat.library()
    return torch.device("cuda")
