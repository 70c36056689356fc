"""Moving, turning and scaling Gaussians.

x' = center + scale * R (x - center) + translation, R the rotation of a wxyz quaternion. So the
inverse is R's inverse, -translation and 1 / scale, about center + translation.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import quat_product, rotation_matrices
from splatseg.geometry.spherical_harmonics import rotate_sh


def transform(
    gaussians: Gaussians,
    selected: Bool[Tensor, " n"],
    rotation: Float[Tensor, "4"],
    translation: Float[Tensor, "3"],
    scale: float,
    center: Float[Tensor, "3"],
) -> Gaussians:
    """The scene with its `selected` Gaussians transformed, spherical harmonics included.

    Args:
        gaussians: All Gaussians of the scene.
        selected: Those to transform.
        rotation: A wxyz quaternion of any length above 0.
        translation: In world units.
        scale: A factor above 0.
        center: The fixed point of rotation and scaling, in world units.

    Raises:
        SplatsegError: a rotation of length 0, a scale that is not positive, NaN or infinity.
    """
    _refuse_unsound(rotation, translation, scale, center)
    old = gaussians.select(selected)
    pose = torch.nn.functional.normalize(rotation.to(old.means.device, torch.float64), dim=0)
    turn = rotation_matrices(pose[None])[0]
    offset, pivot = translation.to(turn), center.to(turn)
    moved = {
        "means": pivot + scale * (old.means.double() - pivot) @ turn.T + offset,
        "quats": quat_product(pose, old.quats.double()),
        "log_scales": old.log_scales + math.log(scale),
        "sh": rotate_sh(old.sh, turn),
    }
    changed = {}
    for name, values in moved.items():
        changed[name] = getattr(gaussians, name).clone()
        changed[name][selected] = values.to(changed[name].dtype)
    return Gaussians(**(gaussians.tensors() | changed))


def _refuse_unsound(rotation: Tensor, translation: Tensor, scale: float, center: Tensor) -> None:
    given = {"rotation": rotation, "translation": translation, "center": center}
    for name, values in given.items():
        if not bool(values.isfinite().all()):
            raise SplatsegError(
                f"the {name} is {values.tolist()}",
                expected="finite numbers",
            )
    if not bool(rotation.any()):
        raise SplatsegError(
            "the rotation is a quaternion of length 0",
            expected="w x y z",
        )
    if not (0 < scale < math.inf):
        raise SplatsegError(
            f"the scale is {scale}",
            expected="a positive number",
        )
