"""All that a training run changes."""

from dataclasses import dataclass, field, replace

import torch

from splatseg.engine.adam import Moments
from splatseg.engine.buffers import GradientBuffers
from splatseg.geometry.gaussians import Gaussians
from splatseg.training.density import DensityStatistics


@dataclass
class TrainState:
    """A run after `iteration` iterations. Tensors are updated in place or replaced."""

    iteration: int
    gaussians: Gaussians
    moments: dict[str, Moments]
    statistics: DensityStatistics
    feature_step: int
    """Adam steps that the features have had; idle ones are deferred until they are needed."""
    seconds: float
    """Time trained so far, in all processes that had a part in the run."""
    buffers: GradientBuffers = field(default_factory=GradientBuffers)

    @staticmethod
    def start(gaussians: Gaussians) -> "TrainState":
        """Before the first iteration."""
        moments = {name: Moments.zeros_like(t) for name, t in gaussians.tensors().items()}
        return TrainState(0, gaussians, moments, DensityStatistics.zeros(len(gaussians)), 0, 0.0)

    def to(self, device: torch.device) -> "TrainState":
        """The same with every tensor on `device`."""
        moments = {
            name: Moments(m.first.to(device), m.second.to(device))
            for name, m in self.moments.items()
        }
        gaussians, statistics = self.gaussians.to(device), self.statistics.to(device)
        return replace(self, gaussians=gaussians, moments=moments, statistics=statistics)
