"""Buffers that are written again, so that large blocks are not asked of the system at each step."""

from collections.abc import Iterable

import torch
from torch import Tensor


class GradientBuffers:
    """Gradients of a run's parameters that were used, for the next backward pass to write into.

    The system hands out large blocks page by page and zeroed, which for 200,000 Gaussians takes
    longer than computing the gradients. One training run owns one of these.
    """

    def __init__(self) -> None:
        self._spare: dict[torch.Size, Tensor] = {}

    def give_back(self, gradients: Iterable[Tensor]) -> None:
        """Hand over gradients that will not be read again; those given back before are dropped."""
        self._spare = {g.shape: g for g in gradients if g.is_cpu and g.is_contiguous()}

    def empty_like(self, tensor: Tensor) -> Tensor:
        """Uninitialized memory of the shape of `tensor`, a spare buffer if one fits."""
        spare = self._spare.pop(tensor.shape, None)
        return torch.empty_like(tensor) if spare is None else spare
