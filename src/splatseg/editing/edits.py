"""Edits of a scene. Each takes a scene and an object's weights and returns another scene.

`weights` [n] are how much of each Gaussian belongs to the object, in [0, 1], like those of a
selection. A Gaussian that belongs by half or more is selected. Features, labels and levels stay
aligned with the Gaussians. All raise SplatsegError if nothing is selected.
"""

from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.editing.color import hide_gaussians, recolor_gaussians
from splatseg.editing.placement import transform
from splatseg.editing.removal import without
from splatseg.errors import SplatsegError
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene
from splatseg.segmentation.selection import SELECTED


def extract(scene: Scene, weights: Float[Tensor, " n"]) -> Scene:
    """A scene of the selected Gaussians only.

    Args:
        scene: a scene.
        weights: how much of each Gaussian belongs to the object, in [0, 1].

    Returns:
        A new scene, its rows in the order that they had.

    Raises:
        SplatsegError: no Gaussian has a weight of 0.5 or more.
    """
    return scene.select(_selected(weights))


def remove(scene: Scene, weights: Float[Tensor, " n"], progress: Progress = SILENT) -> Scene:
    """The scene without the object and the floaters that it leaves: see removal.py.

    Args:
        scene: A scene.
        weights: How much of each Gaussian belongs to the object, in [0, 1].
        progress: Told of the stage "silhouettes", in views.

    Returns:
        A new scene with fewer Gaussians.

    Raises:
        SplatsegError: nothing is selected, or nothing would be left.
    """
    _selected(weights)
    remaining = _remaining(scene, weights, progress)
    if not bool(remaining.any()):
        raise SplatsegError(
            f"all {len(remaining)} Gaussians of the scene would go",
            remedy="select less, or extract",
        )
    return scene.select(remaining)


def hide(scene: Scene, weights: Float[Tensor, " n"]) -> Scene:
    """The scene with the object's Gaussians kept, at an opacity too low to be drawn.

    Args:
        scene: a scene.
        weights: how much of each Gaussian belongs to the object, in [0, 1].

    Returns:
        A new scene with as many Gaussians.

    Raises:
        SplatsegError: no Gaussian has a weight of 0.5 or more.
    """
    return replace(scene, gaussians=hide_gaussians(scene.gaussians, _selected(weights)))


def recolor(
    scene: Scene, weights: Float[Tensor, " n"], color: Float[Tensor, "3"], strength: float = 0.5
) -> Scene:
    """The scene with the object's colors mixed with `color`; see color.py.

    Args:
        scene: a scene.
        weights: how much of each Gaussian belongs to the object, in [0, 1].
        color: RGB in [0, 1].
        strength: in [0, 1]: 0 leaves the colors, 1 gives `color` alone from all sides.

    Returns:
        A new scene with as many Gaussians.

    Raises:
        SplatsegError: no Gaussian has a weight of 0.5 or more, or a number out of
            its range.
    """
    selected = _selected(weights)
    changed = recolor_gaussians(scene.gaussians, selected, color.to(weights.device), strength)
    return replace(scene, gaussians=changed)


def move(
    scene: Scene,
    weights: Float[Tensor, " n"],
    by: Float[Tensor, "3"],
    rotation: Float[Tensor, "4"],
    scale: float = 1.0,
    progress: Progress = SILENT,
) -> Scene:
    """The scene with the object elsewhere. Its old place is left as by `remove`.

    The object is rotated and scaled about its center, the median of its Gaussians' means, and then
    translated.

    Args:
        scene: A scene.
        weights: How much of each Gaussian belongs to the object, in [0, 1].
        by: The translation, in world units.
        rotation: A wxyz quaternion of any length above 0.
        scale: A factor above 0.
        progress: Told of the stage "silhouettes", in views.

    Returns:
        A new scene.

    Raises:
        SplatsegError: nothing is selected, or what `transform` refuses.
    """
    selected = _selected(weights)
    center = scene.gaussians.means[selected].median(dim=0).values
    changed = transform(scene.gaussians, selected, rotation, by, scale, center)
    return replace(scene, gaussians=changed).select(selected | _remaining(scene, weights, progress))


def _selected(weights: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    selected = weights >= SELECTED
    if not bool(selected.any()):
        raise SplatsegError(
            "no Gaussian belongs to the selection by half or more",
            remedy="pick anew",
        )
    return selected


def _remaining(
    scene: Scene, weights: Float[Tensor, " n"], progress: Progress
) -> Bool[Tensor, " n"]:
    """`without`, by the training views, or by all where none is."""
    return without(scene.gaussians, scene.train or scene.frames, weights, progress)
