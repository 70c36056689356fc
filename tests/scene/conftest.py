"""Small random scenes."""

from collections.abc import Callable

import pytest
import torch

from splatseg.capture import Frame, Lens
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.scene import Scene


def random_gaussians(count: int = 5, degree: int = 2, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3,), (4,), (3,), (), ((degree + 1) ** 2, 3), (16,)]
    tensors = [torch.randn(count, *shape, generator=generator) for shape in shapes]
    return Gaussians(*tensors[:-1], features=tensors[-1].half().float())  # as they are stored


def random_scene(seed: int = 0, count: int = 5, labels: bool = False, **levels: torch.Tensor):
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 3] = 0.1 * (seed + 1)
    camera = Camera(pose, fx=100.0, fy=101.0, cx=31.5, cy=23.5, width=64, height=48)
    lens = Lens("PINHOLE", 128, 96, (200.0, 202.0, 63.0, 47.0))
    return Scene(
        gaussians=random_gaussians(count, seed=seed),
        frames=(Frame("cam0/0001", "images/cam0/0001.jpg", camera, lens, is_test=False),),
        capture="../Küche",
        config={"preset": "paper", "iterations": 300 + seed, "contrastive": {"weight": 1e-6}},
        metrics={"psnr": 20.0 + seed},
        labels=torch.arange(count) if labels else None,
        levels=levels,
    )


@pytest.fixture(scope="session")
def make_gaussians() -> Callable[..., Gaussians]:
    return random_gaussians


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    return random_scene
