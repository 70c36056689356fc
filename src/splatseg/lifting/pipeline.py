"""All of lifting, from the masks to the features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting.association import MaskAssociation, associate_masks
from splatseg.lifting.boundary_concavity import part_whole_scores
from splatseg.lifting.config import LiftConfig
from splatseg.lifting.features import PseudoLabels, spread_prototypes, train_features
from splatseg.lifting.hierarchy import SceneObjects, find_objects
from splatseg.lifting.holes import fill_holes
from splatseg.lifting.pseudo_labels import object_masks, pseudo_label_map
from splatseg.lifting.tracks import MIN_VIEWS, find_tracks
from splatseg.lifting.views import SegmentedView
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress

BOUNDARY_VIEWS = 64  # views that part/whole scores are taken from, at most


@dataclass(frozen=True, eq=False)
class Lifted:
    """What lifting gives a scene at one level."""

    features: Float[Tensor, "n f"]
    labels: Int[Tensor, " n"]
    """The object of each Gaussian, 0 for none; smaller objects have larger ids."""
    prototypes: Float[Tensor, "c f"]
    """Row k is the unit feature of object k; row 0 that of Gaussians without an object."""


def lift(
    gaussians: Gaussians,
    views: Sequence[SegmentedView],
    config: LiftConfig,
    dimensions: int,
    generator: torch.Generator,
    progress: Progress = SILENT,
) -> dict[Level, Lifted]:
    """Features of `dimensions` for a scene whose geometry is done; nothing else changes.

    Finer levels than `whole` are there if views agree on parts of objects. The stages are STAGES.

    Raises:
        SplatsegError: too few views, or none that sees the Gaussians.
    """
    if len(views) < MIN_VIEWS:
        raise SplatsegError(
            f"{len(views)} training photos have masks",
            expected=f"at least {MIN_VIEWS}, because features come from what views agree on",
        )
    association = associate_masks(gaussians, views, progress)
    if not association.visible.any():
        raise SplatsegError(
            "no training photo sees any of the Gaussians",
            expected=(
                "a scene where the capture's poses look: pass the poses that it was trained with"
            ),
        )
    levels = _find_objects(gaussians, views, association, progress)
    prototypes, labels = _label(gaussians, levels, association, dimensions, generator)
    masks = [object_masks(objects, association) for objects in levels.values()]
    features = train_features(
        gaussians,
        torch.cat([rows[ids] for rows, ids in zip(prototypes, labels, strict=True)], dim=1),
        PseudoLabels(
            [view.frame for view in views], _fuse_labels(gaussians, views, labels, masks, progress)
        ),
        prototypes,
        config,
        generator,
        progress,
    )
    at_levels = zip(features.split(dimensions, dim=1), labels, prototypes, strict=True)
    return {level: Lifted(*of_level) for level, of_level in zip(levels, at_levels, strict=True)}


def _find_objects(
    gaussians: Gaussians,
    views: Sequence[SegmentedView],
    association: MaskAssociation,
    progress: Progress,
) -> dict[Level, SceneObjects]:
    frames = [view.frame for view in views]
    spread = frames[:: -(-len(frames) // BOUNDARY_VIEWS)]
    return find_objects(
        find_tracks(association),
        association,
        lambda instances, pairs: part_whole_scores(gaussians, spread, instances, pairs, progress),
    )


def _label(
    gaussians: Gaussians,
    levels: dict[Level, SceneObjects],
    association: MaskAssociation,
    dimensions: int,
    generator: torch.Generator,
) -> tuple[list[Float[Tensor, "_ f"]], list[Int[Tensor, " n"]]]:
    """At each level, a prototype for each object, and the object of each Gaussian."""
    device, means = gaussians.means.device, gaussians.means.cpu().numpy()
    prototypes = [
        spread_prototypes(len(objects.tracks) + 1, dimensions, generator).to(device)
        for objects in levels.values()
    ]
    labels = [
        torch.from_numpy(fill_holes(objects.labels, means, association.weight)).to(device)
        for objects in levels.values()
    ]
    return prototypes, labels


def _fuse_labels(
    gaussians: Gaussians,
    views: Sequence[SegmentedView],
    labels: Sequence[Int[Tensor, " n"]],
    masks: Sequence[Sequence[Sequence[tuple[int, int]]]],
    progress: Progress,
) -> list[Int[Tensor, "l h w"]]:
    """Each view's label maps at all levels; `masks[level][view]` are the view's (object, mask)."""
    fused = []
    for index, view in enumerate(views):
        progress.update("matching masks", index, len(views))
        maps = [
            pseudo_label_map(gaussians, ids, view, of_level[index])
            for ids, of_level in zip(labels, masks, strict=True)
        ]
        fused.append(torch.from_numpy(np.stack(maps).astype(np.int16)))
    return fused
