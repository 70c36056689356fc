"""Moving, turning and scaling Gaussians.

x' = center + scale * R (x - center) + translation, R the rotation of a wxyz quaternion. So the
inverse is R's inverse, -translation and 1 / scale, about center + translation.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.gaussians import Gaussians
from splatseg.render.reference import rotation_matrices, sh_basis

DIRECTIONS = 64  # that fix the 16 coefficients of degree 3; so many that least squares is exact


def transform(
    gaussians: Gaussians,
    selected: Bool[Tensor, " n"],
    rotation: Float[Tensor, "4"],
    translation: Float[Tensor, "3"],
    scale: float,
    center: Float[Tensor, "3"],
) -> Gaussians:
    """The scene with its `selected` Gaussians placed anew, their view-dependent colour turned too.

    `rotation` is wxyz, of any length but zero.

    Raises:
        SplatsegError: a rotation of length 0, a scale that is not positive, NaN or infinity.
    """
    _refuse_unsound(rotation, translation, scale, center)
    old = gaussians.select(selected)
    pose = torch.nn.functional.normalize(rotation.to(old.means.device, torch.float64), dim=0)
    turn = rotation_matrices(pose[None])[0]
    move, pivot = translation.to(turn), center.to(turn)
    moved = {
        "means": pivot + scale * (old.means.double() - pivot) @ turn.T + move,
        "quats": _product(pose, old.quats.double()),
        "log_scales": old.log_scales + math.log(scale),
        "sh": rotate_sh(old.sh, turn),
    }
    changed = {}
    for name, values in moved.items():
        changed[name] = getattr(gaussians, name).clone()
        changed[name][selected] = values.to(changed[name].dtype)
    return Gaussians(**(gaussians.tensors() | changed))


def rotate_sh(sh: Float[Tensor, "n k 3"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "n k 3"]:
    """Coefficients of the same colours on a thing that `rotation` turned: c'(d) = c(R⁻¹ d)."""
    degree = int(sh.shape[1] ** 0.5) - 1
    return torch.einsum("jk,nkc->njc", sh_rotation(rotation, degree).to(sh), sh)


def sh_rotation(rotation: Float[Tensor, "3 3"], degree: int) -> Float[Tensor, "k k"]:
    """The matrix that turns coefficients up to `degree`: Wigner's D in the real basis, float64.

    It is the one M with basis(d) M = basis(R⁻¹ d) in every direction d; few fix it.
    """
    turn = rotation.double()
    directions = _sphere(DIRECTIONS).to(turn)
    # Rows are directions: d @ R is (R⁻¹ d)ᵀ.
    before, after = sh_basis(directions @ turn, degree), sh_basis(directions, degree)
    return torch.linalg.lstsq(after, before).solution


def _sphere(count: int) -> Float[Tensor, "n 3"]:
    """Directions spread evenly over the sphere, on a spiral by the golden angle."""
    steps = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * steps / count
    turns = math.pi * (1 + math.sqrt(5)) * steps
    ring = (1 - z * z).sqrt()
    return torch.stack([ring * turns.cos(), ring * turns.sin(), z], dim=1)


def _product(first: Float[Tensor, "4"], second: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """The quaternions of turning by `second` and then by `first`."""
    w, x, y, z = first.tolist()
    by_first = second.new_tensor([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return second @ by_first.T


def _refuse_unsound(rotation: Tensor, translation: Tensor, scale: float, center: Tensor) -> None:
    given = {"rotation": rotation, "translation": translation, "center": center}
    for name, values in given.items():
        if not bool(values.isfinite().all()):
            raise SplatsegError(f"the {name} is {values.tolist()}; expected finite numbers")
    if not bool(rotation.any()):
        raise SplatsegError("the rotation is a quaternion of length 0; expected w x y z")
    if not (0 < scale < math.inf):
        raise SplatsegError(f"the scale is {scale}; expected a positive number")
