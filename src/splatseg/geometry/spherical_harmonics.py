"""Real spherical harmonics of degree 0 to 3, in 3DGS's order and signs.

A Gaussian's color seen along the unit direction d is 0.5 + Σ basis(d) · coefficient, RGB.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SH_DC = 0.28209479177387814  # the degree-0 real spherical harmonic, 1 / (2 sqrt(pi))
DIRECTIONS = 64  # that fix the 16 coefficients of degree 3; so many that least squares is exact


def sh_basis(directions: Float[Tensor, "n 3"], degree: int) -> Float[Tensor, "n k"]:
    """The basis functions up to `degree` (0 to 3) at unit `directions`."""
    x, y, z = directions.unbind(-1)
    c0, c1 = math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi))
    basis = [torch.full_like(x, c0)]
    if degree >= 1:
        basis += [-c1 * y, c1 * z, -c1 * x]
    if degree >= 2:
        c2, c20 = math.sqrt(15 / (4 * math.pi)), math.sqrt(5 / (16 * math.pi))
        basis += [c2 * x * y, -c2 * y * z, c20 * (2 * z * z - x * x - y * y), -c2 * x * z]
        basis += [c2 / 2 * (x * x - y * y)]
    if degree >= 3:
        c33, c32 = math.sqrt(35 / (32 * math.pi)), math.sqrt(105 / (4 * math.pi))
        c31, c30 = math.sqrt(21 / (32 * math.pi)), math.sqrt(7 / (16 * math.pi))
        ring = 4 * z * z - x * x - y * y
        basis += [-c33 * y * (3 * x * x - y * y), c32 * x * y * z, -c31 * y * ring]
        basis += [c30 * z * (2 * z * z - 3 * x * x - 3 * y * y), -c31 * x * ring]
        basis += [c32 / 2 * z * (x * x - y * y), -c33 * x * (x * x - 3 * y * y)]
    return torch.stack(basis, dim=-1)


def view_colors(
    means: Float[Tensor, "n 3"],
    sh: Float[Tensor, "n k 3"],
    position: Float[Tensor, "3"],
    degree: int,
) -> Float[Tensor, "n 3"]:
    """RGB of each Gaussian as seen from a camera at `position`, clamped at 0."""
    offsets = means - position.to(means)
    # The floor only avoids 0/0 for a Gaussian exactly at the camera center.
    directions = offsets / offsets.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    basis = sh_basis(directions, degree)
    color = 0.5 + torch.einsum("nk,nkc->nc", basis, sh[:, : basis.shape[1]])
    return color.clamp_min(0)


def rotate_sh(sh: Float[Tensor, "n k 3"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "n k 3"]:
    """Coefficients of the same colors on a thing that `rotation` turned: c'(d) = c(R⁻¹ d)."""
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
