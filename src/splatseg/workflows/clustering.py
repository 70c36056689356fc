"""Finding all objects of a scene, without a prompt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor

from splatseg.files import replacing_folder, write_bytes
from splatseg.images import save_image
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene, load_scene, save_labels
from splatseg.segmentation import cluster_gaussians
from splatseg.segmentation.connected_components import FLOATER
from splatseg.segmentation.objects import (
    SceneObject,
    VisibilityStatistics,
    object_table,
    parts_within,
    visibility_statistics,
    with_earlier_ids,
)
from splatseg.viz.objects import cluster_montage, thumbnail_montage, thumbnails
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device

OBJECTS = "objects.json"
THUMBNAILS = "objects"


@dataclass(frozen=True)
class ClusterResult:
    """The objects of a scene, as objects.json has them."""

    scene: Path
    objects: list[dict[str, Any]]
    """The object table: see `SceneObject`."""
    parts: dict[str, list[dict[str, Any]]]
    """Tables of finer levels, for a scene that has them."""
    unassigned: int
    """Gaussians that belong to no object."""
    floaters: int
    """Gaussians that float."""

    def to_json(self) -> dict[str, Any]:
        """What `splatseg cluster --json` prints."""
        return {
            "scene": str(self.scene),
            "unassigned": self.unassigned,
            "floaters": self.floaters,
            "objects": self.objects,
            **self.parts,
        }


def cluster(
    scene: Path,
    *,
    fresh_ids: bool = False,
    device: Device = "auto",
    progress: Progress = SILENT,
) -> ClusterResult:
    """Find all objects of a scene: an object id for every Gaussian.

    Writes labels.safetensors, objects.json, thumbnails in objects/, objects.png and clusters.png
    into the scene.

    Args:
        scene: the folder, as training wrote it.
        fresh_ids: number the objects anew, by size; else those found before keep their ids.
        device: where to compute.
        progress: told of the stages "clustering" and "visibility", a step for each training view
            and level. Canceled, nothing is written.

    Returns:
        The object tables, as objects.json has them.

    Raises:
        SplatsegError: the folder is no scene, or its features are missing or form no cluster.
    """
    loaded = load_scene(scene).to(choose_device(device))
    levels: list[Level] = ["whole", *loaded.levels]
    found: dict[Level, _Level] = {}
    for level in levels:
        above = list(found.values())[-1].labels if found else None
        found[level] = _cluster_level(loaded, level, above, fresh_ids, progress)
    return _write(scene, loaded, found)


@dataclass(frozen=True, eq=False)
class _Level:
    """The objects of a level."""

    labels: Int[Tensor, " n"]
    table: Sequence[SceneObject]
    visibility: Mapping[int, VisibilityStatistics]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row.to_json() for row in self.table]


def _cluster_level(
    scene: Scene, level: Level, above: Tensor | None, fresh_ids: bool, progress: Progress
) -> _Level:
    """The objects of a level; of a finer one, parts of the objects `above`."""
    gaussians, frames = scene.at(level).gaussians, scene.train
    labels, parents = cluster_gaussians(gaussians, frames, progress), {}
    if above is not None:
        labels, parents = parts_within(labels, above)
    elif scene.labels is not None and not fresh_ids:
        labels = with_earlier_ids(labels, scene.labels)
    visibility = visibility_statistics(gaussians, labels, frames, progress)
    return _Level(labels, object_table(gaussians, labels, visibility, parents), visibility)


def _write(folder: Path, scene: Scene, found: dict[Level, _Level]) -> ClusterResult:
    whole = found["whole"]
    finer: dict[Level, _Level] = {level: found[level] for level in scene.levels}
    result = ClusterResult(
        scene=folder,
        objects=whole.rows,
        parts={level: each.rows for level, each in finer.items()},
        unassigned=int((whole.labels == 0).sum()),
        floaters=int((whole.labels == FLOATER).sum()),
    )
    save_labels(folder, whole.labels, {level: each.labels for level, each in finer.items()})
    content = json.dumps({"objects": result.objects, **result.parts}, indent=1)
    write_bytes(folder / OBJECTS, content.encode())
    _write_pictures(folder, scene, whole)
    return result


def _write_pictures(folder: Path, scene: Scene, whole: _Level) -> None:
    best = {row.id: whole.visibility[row.id].best for row in whole.table}
    pictures = thumbnails(scene, whole.labels, best)
    with replacing_folder(folder / THUMBNAILS) as new:
        for number, picture in pictures.items():
            save_image(new / f"{number}.png", picture)
    montage = thumbnail_montage(pictures, whole.table)
    if montage is not None:
        save_image(folder / "objects.png", montage)
    save_image(folder / "clusters.png", cluster_montage(scene, whole.labels))
