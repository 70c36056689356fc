"""Small scenes, and a disk that dies at a chosen step."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splatseg.cameras import Camera
from splatseg.capture import Frame, Lens
from splatseg.gaussians import Gaussians
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
            features=normal(count, 16),
        )

    return make


@pytest.fixture
def make_scene(make_gaussians: Callable[..., Gaussians]) -> Callable[..., Scene]:
    def make(seed: int = 0, count: int = 5, labels: bool = False) -> Scene:
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
        )

    return make


class Killed(BaseException):
    """The process is gone: nothing that it would have done after this happens."""


class DyingDisk:
    """Counts the changes that a program makes to a disk, and makes none from step `last` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.steps = 0
        self.last = 0

    def plug_in(self, last: int) -> None:
        self.steps, self.last = 0, last
        for target in (
            "os.replace",
            "os.fsync",
            "shutil.rmtree",
            "pathlib.Path.mkdir",
            "pathlib.Path.rmdir",
            "pathlib.Path.unlink",
        ):
            self._wrap(target)

    def unplug(self) -> None:
        self._monkeypatch.undo()

    def _wrap(self, target: str) -> None:
        def step(*args: object, **kwargs: object) -> object:
            if self.steps >= self.last:
                raise Killed
            self.steps += 1
            return real(*args, **kwargs)

        module, _, name = target.rpartition(".")
        real = getattr(Path if module == "pathlib.Path" else __import__(module), name)
        self._monkeypatch.setattr(target, step)


@pytest.fixture
def dying_disk(monkeypatch: pytest.MonkeyPatch) -> DyingDisk:
    return DyingDisk(monkeypatch)
