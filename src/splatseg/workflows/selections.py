"""What a person names: objects by their ids, and earlier picks by their names."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.scene import Scene
from splatseg.segmentation import load_selection

SELECTION = "selection.safetensors"


def find_selection(name: str, folder: Path) -> Path:
    """The file of an earlier pick.

    Args:
        name: the file, its folder, or the name of the pick.
        folder: the scene's, whose `picks` names are looked up in.

    Raises:
        SplatsegError: there is none.
    """
    for place in (Path(name), Path(name) / SELECTION, folder / "picks" / name / SELECTION):
        if place.is_file():
            return place
    raise SplatsegError(
        f"there is no pick {name}",
        expected=(
            "a selection.safetensors, the folder of a pick, or the name of one in "
            f"{folder / 'picks'}"
        ),
    )


def union_weights(
    scene: Scene, folder: Path, objects: Sequence[int], selections: Sequence[str]
) -> Float[Tensor, " n"]:
    """How much of each Gaussian belongs to any of the named objects and picks, in [0, 1].

    Args:
        scene: as loaded from `folder`.
        folder: the scene's.
        objects: ids, as clustering gave them.
        selections: earlier picks; see `find_selection`.

    Raises:
        SplatsegError: neither is given, or an id or a pick does not exist.
    """
    if not objects and not selections:
        raise SplatsegError(
            "nothing is selected",
            expected="an `object` id, as splatseg cluster lists them, or the `selection` of "
            "an earlier pick",
        )
    weights = torch.zeros(len(scene.gaussians), device=scene.gaussians.means.device)
    for number in objects:
        weights = torch.maximum(weights, object_weights(scene, folder, number))
    for name in selections:
        earlier = load_selection(find_selection(name, folder), scene)
        weights = torch.maximum(weights, earlier.weights)
    return weights


def object_weights(scene: Scene, folder: Path, number: int) -> Float[Tensor, " n"]:
    """1 for the Gaussians of the object of an id, else 0.

    Raises:
        SplatsegError: the scene has no objects, or none of this id.
    """
    if scene.labels is None:
        raise SplatsegError(
            f"{folder} has no objects yet, so no object {number}",
            remedy=f"run splatseg cluster {folder} first, or give a `selection`",
        )
    known = _ids(scene)
    if number not in known:
        raise SplatsegError(
            f"{folder} has no object {number}",
            remedy=f"it has {', '.join(map(str, known)) or 'none'}",
        )
    return (scene.labels == number).float()


def known_objects(scene: Scene, folder: Path) -> list[int]:
    """The ids of all objects, ascending.

    Raises:
        SplatsegError: the scene was not clustered, or has no objects.
    """
    ids = _ids(scene)
    if not ids:
        raise SplatsegError(
            f"{folder} has no objects yet",
            remedy=f"run splatseg cluster {folder} first, or give a `selection`",
        )
    return ids


def _ids(scene: Scene) -> list[int]:
    return [] if scene.labels is None else torch.unique(scene.labels[scene.labels > 0]).tolist()
