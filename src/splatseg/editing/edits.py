"""Edits of a scene: the scene and what is selected in, another scene out.

`weights` [n] tell how much of each Gaussian belongs to the object, 0 to 1, as those of a selection:
by half or more, and it is selected. Features, labels and levels go along, row by row.
"""

from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.editing.color import hide_gaussians, recolor_gaussians
from splatseg.editing.placement import transform
from splatseg.editing.removal import without
from splatseg.errors import SplatsegError
from splatseg.scene import Scene
from splatseg.segmentation.selection import SELECTED


def extract(scene: Scene, weights: Float[Tensor, " n"]) -> Scene:
    """The object alone."""
    return scene.select(_selected(weights))


def remove(scene: Scene, weights: Float[Tensor, " n"]) -> Scene:
    """The scene without the object, and without what hung in and around it: see removal.py.

    Raises:
        SplatsegError: nothing is selected, or nothing would be left.
    """
    _selected(weights)
    stays = _stays(scene, weights)
    if not bool(stays.any()):
        raise SplatsegError(
            f"all {len(stays)} Gaussians of the scene would go",
            remedy="select less, or extract",
        )
    return scene.select(stays)


def hide(scene: Scene, weights: Float[Tensor, " n"]) -> Scene:
    """The scene with the object there, and invisible."""
    return replace(scene, gaussians=hide_gaussians(scene.gaussians, _selected(weights)))


def recolor(
    scene: Scene, weights: Float[Tensor, " n"], color: Float[Tensor, "3"], strength: float = 0.5
) -> Scene:
    """The scene with the object's colors mixed with `color`, RGB in [0, 1]; see `recolor`."""
    selected = _selected(weights)
    changed = recolor_gaussians(scene.gaussians, selected, color.to(weights.device), strength)
    return replace(scene, gaussians=changed)


def move(
    scene: Scene,
    weights: Float[Tensor, " n"],
    by: Float[Tensor, "3"],
    rotation: Float[Tensor, "4"],
    scale: float = 1.0,
) -> Scene:
    """The scene with the object elsewhere, and its old place as in `removed`.

    It is turned by the wxyz quaternion `rotation` and scaled about its center, the median of its
    Gaussians', and then moved `by` world units.
    """
    selected = _selected(weights)
    center = scene.gaussians.means[selected].median(dim=0).values
    changed = transform(scene.gaussians, selected, rotation, by, scale, center)
    return replace(scene, gaussians=changed).select(selected | _stays(scene, weights))


def _selected(weights: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    selected = weights >= SELECTED
    if not bool(selected.any()):
        raise SplatsegError(
            "no Gaussian belongs to the selection by half or more",
            remedy="pick anew",
        )
    return selected


def _stays(scene: Scene, weights: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """`without`, by the cameras that the scene was trained on."""
    training = [frame for frame in scene.frames if not frame.is_test]
    return without(scene.gaussians, training or scene.frames, weights)
