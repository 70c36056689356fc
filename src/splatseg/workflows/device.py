"""Where a workflow computes."""

import torch

from splatseg.errors import SplatsegError
from splatseg.render import gsplat
from splatseg.workflows.config import Device


def choose_device(name: Device) -> torch.device:
    """The device of that name, ready to render on.

    Args:
        name: "auto" is the GPU if torch finds one and gsplat is installed, else the CPU.

    Raises:
        SplatsegError: cuda, asked for or found by auto, lacks a GPU, gsplat, or what gsplat needs.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not (has_gpu and gsplat.is_installed())):
        return torch.device("cpu")
    if not has_gpu:
        raise SplatsegError(
            "torch finds no GPU",
            expected="an NVIDIA card, its driver, and a build of torch for CUDA",
        )
    gsplat.library()
    return torch.device("cuda")
