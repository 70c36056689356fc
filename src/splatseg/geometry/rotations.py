"""Rotations as wxyz quaternions and as matrices."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_matrices(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotations of wxyz quaternions of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quat_product(first: Float[Tensor, "4"], second: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """The wxyz quaternions of rotating by each of `second`, and then by `first`."""
    w, x, y, z = first.tolist()
    by_first = second.new_tensor([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return second @ by_first.T
