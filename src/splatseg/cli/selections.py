"""What a command is asked to work on: objects by their ids, and earlier picks by their names."""

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
    """The selection of an earlier pick of the scene in `folder`: its file, its folder or its name.

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
    """How much of each Gaussian belongs to the objects of these ids or to these picks, 0 to 1.

    Raises:
        SplatsegError: neither is given, an id or a pick does not exist, nothing is selected.
    """
    if not objects and not selections:
        raise SplatsegError(
            "nothing is selected",
            expected=(
                "--object ID, as splatseg cluster lists them, or --selection with the name "
                "of a pick"
            ),
        )
    weights = torch.zeros(len(scene.gaussians), device=scene.gaussians.means.device)
    for number in objects:
        weights = torch.maximum(weights, object_weights(scene, folder, number))
    for name in selections:
        earlier = load_selection(find_selection(name, folder), scene)
        weights = torch.maximum(weights, earlier.weights)
    return weights


def object_weights(scene: Scene, folder: Path, number: int) -> Float[Tensor, " n"]:
    """1 for the Gaussians of the object of that id, else 0; a sentence if there is none."""
    if scene.labels is None:
        raise SplatsegError(
            f"{folder} has no objects yet, so no object {number}",
            remedy=f"run splatseg cluster {folder} first, or give --selection",
        )
    known = torch.unique(scene.labels[scene.labels > 0]).tolist()
    if number not in known:
        raise SplatsegError(
            f"{folder} has no object {number}",
            remedy=f"it has {', '.join(map(str, known)) or 'none'}",
        )
    return (scene.labels == number).float()
