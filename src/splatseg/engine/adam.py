"""Adam over the fields of a Gaussian scene, in place.

Written as a pure step over (parameter, gradient, moments) so that density control can rearrange
the moments together with the Gaussians. The native engine does a step in one pass over memory.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splatseg.engine import library

BETA1, BETA2 = 0.9, 0.999
EPSILON = 1e-15  # 3DGS's: gradients of single Gaussians are tiny


@dataclass
class Moments:
    """Adam's running means of the gradient and of its square, shaped like the parameter."""

    first: Tensor
    second: Tensor

    @staticmethod
    def zeros_like(parameter: Tensor) -> "Moments":
        """The state before the first step."""
        return Moments(torch.zeros_like(parameter), torch.zeros_like(parameter))

    def reindexed(self, source: Tensor, is_new: Tensor) -> "Moments":
        """The moments of the rows `source`, zero where `is_new`, as after density control."""
        first, second = self.first[source], self.second[source]
        first[is_new] = 0
        second[is_new] = 0
        return Moments(first, second)


def adam_steps(
    parameter: Tensor,
    gradient: Tensor | None,
    moments: Moments,
    learning_rates: Tensor,
    first_step: int,
    count: int = 1,
) -> None:
    """Update `parameter` and `moments` in place by `count` steps, all but the first of them idle.

    Idle steps have a zero gradient: the moments decay and still move the parameter. `gradient`
    None makes the first step idle too. `first_step` counts from 1. `learning_rates` has one entry
    per element of a row of `parameter` (its dimensions after the first, flattened).
    """
    if parameter.numel() == 0:  # a scene without features has a field of width 0
        return
    steps = range(first_step, first_step + count)
    if parameter.device.type == "cpu" and library.is_available():
        _native_steps(parameter, gradient, moments, learning_rates, steps)
        return
    rates = learning_rates.to(parameter.device).reshape(parameter.shape[1:])
    for step in steps:
        incoming = gradient if gradient is not None and step == first_step else 0.0
        moments.first.mul_(BETA1).add_((1 - BETA1) * incoming)
        moments.second.mul_(BETA2).add_((1 - BETA2) * incoming * incoming)
        scale = (moments.second / (1 - BETA2**step)).sqrt_().add_(EPSILON)
        parameter.sub_(rates * (moments.first / (1 - BETA1**step)) / scale)


def _native_steps(
    parameter: Tensor, gradient: Tensor | None, moments: Moments, rates: Tensor, steps: range
) -> None:
    lanes = math.lcm(16, rates.numel())
    repeated = rates.repeat(lanes // rates.numel()).contiguous()
    constants = (library.CAdamStep * len(steps))(
        *[(1 / (1 - BETA1**t), 1 / math.sqrt(1 - BETA2**t), BETA1, BETA2, EPSILON) for t in steps]
    )
    gradient = None if gradient is None else gradient.contiguous()
    library.library().splatseg_adam(
        parameter.numel(),
        *[library.pointer(t) for t in (parameter, gradient, moments.first, moments.second)],
        repeated.data_ptr(),
        lanes,
        constants,
        len(steps),
    )
