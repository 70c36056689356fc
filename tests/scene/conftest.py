"""Small scenes, and a disk that dies at a chosen step."""

from collections.abc import Callable

import pytest
import torch

from splatseg.capture import Frame, Lens
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.scene import Scene


@pytest.fixture
def make_gaussians() -> Callable[..., Gaussians]:
    def make(count: int = 5, degree: int = 2, seed: int = 0) -> Gaussians:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        generator = torch.Generator().manual_seed(seed)
        return Gaussians(
            means=normal(count, 3),
            quats=normal(count, 4),
            log_scales=normal(count, 3),
            logit_opacities=normal(count),
            sh=normal(count, (degree + 1) ** 2, 3),
            features=normal(count, 16).half().float(),  # as they are stored
        )

    return make


@pytest.fixture
def make_scene(make_gaussians: Callable[..., Gaussians]) -> Callable[..., Scene]:
    def make(seed: int = 0, count: int = 5, labels: bool = False, levels: bool = False) -> Scene:
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = 0.1 * (seed + 1)
        camera = Camera(pose, fx=100.0, fy=101.0, cx=31.5, cy=23.5, width=64, height=48)
        lens = Lens("PINHOLE", 128, 96, (200.0, 202.0, 63.0, 47.0))
        return Scene(
            gaussians=make_gaussians(count=count, seed=seed),
            frames=(Frame("cam0/0001", "images/cam0/0001.jpg", camera, lens, is_test=False),),
            capture="../Küche",
            config={"preset": "paper", "iterations": 300 + seed, "contrastive": {"weight": 1e-6}},
            metrics={"psnr": 20.0 + seed},
            labels=torch.arange(count) if labels else None,
            levels={"part": torch.eye(count, 16), "subpart": torch.ones(count, 16)}
            if levels
            else {},
        )

    return make
