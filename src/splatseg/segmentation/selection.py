"""A selection: how much of each Gaussian belongs to an object, and how that came about.

As long as nothing but prompts made it, a selection also keeps what they point at, and its masks are
Eq. 6's: sharper than what the Gaussians' weights give. Combined or grown, it is its weights alone.

On disk: one safetensors file with "weights" [n], and the prompts' "positive" and "negative" [q, f];
its metadata names the scene, by a checksum of the centers, and tells how the selection was made.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import LEVELS, Level
from splatseg.render import ProjectedGaussians, rasterize
from splatseg.scene import Scene
from splatseg.segmentation.config import Operation
from splatseg.segmentation.feature_maps import MIN_COVERAGE
from splatseg.tensor_files import read_tensors, write_tensors

SCHEMA = "splatseg.selection/1"
SELECTED = 0.5  # the weight from which a Gaussian, or a pixel, counts as selected
NEIGHBORS = 10  # of a Gaussian, over which a selection grows


@dataclass(frozen=True, eq=False)
class Queries:
    """What prompts point at: unit features of a level."""

    level: Level
    positive: Float[Tensor, "p f"]
    negative: Float[Tensor, "q f"]
    threshold: float
    """The cosine to a positive query from which a feature belongs to the object."""
    features: str
    """`checksum` of the level's features: queries mean nothing to others."""

    def to(self, device: torch.device) -> "Queries":
        """The same with its tensors on `device`."""
        return replace(self, positive=self.positive.to(device), negative=self.negative.to(device))


@dataclass(frozen=True, eq=False)
class Selection:
    """An object of the scene whose Gaussians have the checksum `scene`."""

    weights: Float[Tensor, " n"]
    """How much of each Gaussian belongs to the object, in [0, 1]."""
    scene: str
    """`fingerprint` of the scene's Gaussians."""
    made: tuple[str, ...]
    """How it came about, a step each."""
    queries: Queries | None = None
    """None if something else than prompts had a part in it."""

    @property
    def selected(self) -> Bool[Tensor, " n"]:
        """The Gaussians that belong to it by half or more."""
        return self.weights >= SELECTED


def fingerprint(gaussians: Gaussians) -> str:
    """A checksum of the Gaussians' centers: what a selection is of."""
    return checksum(gaussians.means.float())


def checksum(tensor: Tensor) -> str:
    """The first half of the SHA-256 of a tensor's bytes."""
    data = tensor.detach().cpu().contiguous().numpy().tobytes()
    return hashlib.sha256(data).hexdigest()[:32]


def combine(first: Selection, second: Selection, operation: Operation) -> Selection:
    """`first` with `second` added, subtracted or intersected.

    Args:
        first: a selection.
        second: another one of the same scene.
        operation: "add" takes the larger weight of each Gaussian, "subtract" and "intersect" the
            smaller one, of `first` and 1 - `second`, and of both.

    Returns:
        A selection by its weights alone: it has no queries.

    Raises:
        SplatsegError: they are selections of different scenes.
    """
    refuse_other_scene(second, first.scene)
    other = second.weights.to(first.weights.device)
    weights = {
        "add": torch.maximum(first.weights, other),
        "subtract": torch.minimum(first.weights, 1 - other),
        "intersect": torch.minimum(first.weights, other),
    }[operation]
    made = (*first.made, f"{operation} ({'; '.join(second.made)})")
    return Selection(weights, first.scene, made)


def grow(selection: Selection, gaussians: Gaussians, steps: int) -> Selection:
    """The selection grown by `steps` Gaussians on all sides, or shrunk by as many if negative.

    A step adds each Gaussian that has a selected one among its nearest, or takes each away that has
    one that is not.

    Args:
        selection: of the scene of `gaussians`.
        gaussians: all Gaussians of the scene.
        steps: any whole number; 0 changes nothing.

    Returns:
        A selection by its weights alone, in [0, 1]; `selection` itself where nothing changes.
    """
    selected = selection.selected.cpu()
    if steps == 0 or not bool(selected.any()):
        return selection
    means = gaussians.means.detach().cpu().numpy()
    _, found = KDTree(means).query(means, k=min(NEIGHBORS + 1, len(means)))
    nearest = torch.from_numpy(found).reshape(len(means), -1)
    for _ in range(abs(steps)):
        around = selected[nearest]
        selected = around.any(dim=1) if steps > 0 else around.all(dim=1)
    weights = selection.weights
    changed = selected.to(weights.device) != selection.selected
    weights = torch.where(changed, float(steps > 0), weights)
    step = f"{'grown' if steps > 0 else 'shrunk'} by {abs(steps)}"
    return Selection(weights, selection.scene, (*selection.made, step))


def weights_margin(
    gaussians: Gaussians, view: ProjectedGaussians, weights: Float[Tensor, " n"]
) -> Float[Tensor, "h w"]:
    """The fraction of what covers each pixel that selected Gaussians make, beyond SELECTED.

    -1 on background.
    """
    with torch.no_grad():
        rendered = rasterize(view, weights[:, None].contiguous())
    covered = rendered.alpha >= MIN_COVERAGE
    fraction = rendered.image[..., 0] / rendered.alpha.clamp_min(MIN_COVERAGE)
    return torch.where(covered, fraction - SELECTED, -1.0)


def refuse_other_scene(selection: Selection, scene: str) -> None:
    """Raise unless the selection is of the scene with this fingerprint."""
    if selection.scene != scene:
        raise SplatsegError(
            f"the selection ({'; '.join(selection.made)}) is of another scene: its Gaussians have "
            f"the checksum {selection.scene}, these have {scene}",
            remedy="pick it again in this scene",
        )


def save_selection(path: Path | str, selection: Selection) -> None:
    """Write a selection as safetensors, whole or not at all.

    Args:
        path: the file.
        selection: what to write.

    Raises:
        SplatsegError: the file cannot be written.
    """
    tensors = {"weights": selection.weights.float()}
    metadata = {
        "schema": SCHEMA,
        "scene": selection.scene,
        "made": json.dumps(selection.made),
    }
    queries = selection.queries
    if queries is not None:
        tensors |= {"positive": queries.positive, "negative": queries.negative}
        metadata |= {
            "level": queries.level,
            "threshold": repr(queries.threshold),
            "features": queries.features,
        }
    write_tensors(Path(path), tensors, metadata)


def load_selection(path: Path | str, scene: Scene) -> Selection:
    """Read a selection of a scene.

    Args:
        path: a file that `save_selection` wrote.
        scene: the scene that it must be of.

    Returns:
        The selection, on the scene's device; without its queries if they are of features that were
        replaced since.

    Raises:
        SplatsegError: the file is no selection, or one of another scene.
    """
    tensors, metadata = read_tensors(Path(path))
    try:
        if metadata.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {metadata.get('schema')}, expected {SCHEMA}")
        made = tuple(str(step) for step in json.loads(metadata["made"]))
        selection = Selection(tensors["weights"].float(), metadata["scene"], made)
        queries = _queries(tensors, metadata) if "level" in metadata else None
    except (KeyError, ValueError, TypeError) as error:
        raise SplatsegError(
            f"{path} is not a selection that splatseg saved ({error})",
            expected="the selection.safetensors of a pick",
        ) from error
    refuse_other_scene(selection, fingerprint(scene.gaussians))
    if selection.weights.shape != (len(scene.gaussians),):
        raise SplatsegError(
            f"{path} has weights of shape {list(selection.weights.shape)} for the scene's "
            f"{len(scene.gaussians)} Gaussians",
            remedy="pick it again",
        )
    device = scene.gaussians.means.device
    selection = replace(selection, weights=selection.weights.clamp(0, 1).to(device))
    if queries is None or queries.features != level_checksum(scene, queries.level):
        return selection
    return replace(selection, queries=queries.to(device))


def level_checksum(scene: Scene, level: Level) -> str | None:
    """The checksum of a level's features as they are stored; None without levels."""
    if level != "whole" and not scene.levels:
        return None
    return checksum(scene.at(level).gaussians.features.half())


def _queries(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Queries:
    if metadata["level"] not in LEVELS:
        raise ValueError(f"its level is {metadata['level']}, expected one of {', '.join(LEVELS)}")
    return Queries(
        level=LEVELS[LEVELS.index(metadata["level"])],
        positive=tensors["positive"].float(),
        negative=tensors["negative"].float(),
        threshold=float(metadata["threshold"]),
        features=metadata["features"],
    )
