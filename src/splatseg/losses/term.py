"""A loss as an entry of a list: the training step evaluates the terms that are due.

A new loss is one file with a function that makes its `LossTerm`, and one entry in
`splatseg.training.terms`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import ProjectedGaussians


@runtime_checkable
class Observations(Protocol):
    """What the capture shows in a frame; read when it is asked for."""

    def photo(self, frame: Frame) -> Float[Tensor, "h w 3"]:
        """RGB in [0, 1]."""
        ...

    def labels(self, frame: Frame) -> Int[Tensor, "h w"] | None:
        """Segment ids, 0 = unlabeled; None for a frame without masks."""
        ...


@dataclass(frozen=True, eq=False)
class LossInputs:
    """One training step, before its losses: a frame, and the Gaussians that it is compared with."""

    iteration: int
    """Counted from 1."""
    gaussians: Gaussians
    """Leaves of the graph."""
    projected: ProjectedGaussians
    """`gaussians` in the frame's camera."""
    frame: Frame
    observations: Observations
    generator: Callable[[str], torch.Generator]
    """A CPU generator for a purpose, of this step."""

    def with_frozen_geometry(self) -> "LossInputs":
        """The same, where no gradient reaches anything but features."""
        frozen = {name: tensor.detach() for name, tensor in self.gaussians.tensors().items()}
        gaussians = Gaussians(**frozen | {"features": self.gaussians.features})
        return replace(self, gaussians=gaussians, projected=self.projected.detach())


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One term of the total loss (Eq. 5 of arXiv:2404.12784)."""

    name: str
    evaluate: Callable[[LossInputs], Float[Tensor, ""]]
    """The loss before its weight; a constant where there is nothing to compare."""
    weight: float = 1.0
    """At 0 the term is never evaluated."""
    interval: int = 1
    """Iterations between two evaluations, the first at this iteration."""
    reads_features: bool = True
    """Whether it depends on the features, whose deferred Adam steps must then be taken first."""
    to_geometry: bool = True
    """Whether its gradient reaches opacity, scale, rotation, position and color."""
    to_density: bool = True
    """Whether its gradient counts in density control."""

    def is_due(self, iteration: int) -> bool:
        """Whether the term is part of the loss of this iteration."""
        return self.weight > 0 and iteration % self.interval == 0

    def __call__(self, inputs: LossInputs) -> Float[Tensor, ""]:
        """The weighted loss."""
        inputs = inputs if self.to_geometry else inputs.with_frozen_geometry()
        return self.weight * self.evaluate(inputs)
