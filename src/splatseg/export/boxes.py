"""The boxes of objects, as JSON for robotics, measuring and labeling tools."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from splatseg.files import write_bytes
from splatseg.geometry.gaussians import Gaussians
from splatseg.segmentation.objects import Kind, bounds_of, box_of
from splatseg.segmentation.oriented_box import OrientedBox

SCHEMA = "splatseg.boxes/1"
CONVENTIONS = {
    "units": "world units: those of the capture's camera poses",
    "axes": "world axes: those of the capture's camera poses, unchanged",
    "rotation": "w, x, y, z of world_from_box",
}


@dataclass(frozen=True)
class AlignedBox:
    """A box along the world's axes; world units."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]


@dataclass(frozen=True)
class ObjectBoxes:
    """Two boxes of an object, both without a few outliers at either end of each side."""

    id: int | None
    """None for a selection."""
    kind: Kind | None
    """None if the object table does not have it."""
    gaussians: int
    axis_aligned: AlignedBox
    oriented: OrientedBox

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; a volume goes with the oriented box."""
        row = asdict(self)
        row["oriented"]["volume"] = self.oriented.volume
        return row


def boxes_of(
    gaussians: Gaussians, labels: Int[Tensor, " n"], kinds: Mapping[int, Kind]
) -> list[ObjectBoxes]:
    """The boxes of every object of a scene.

    Args:
        gaussians: all Gaussians of the scene.
        labels: the object id of each; those up to 0 have no box.
        kinds: by id, "object" or "background", as the object table has them; others are unknown.

    Returns:
        The boxes by ascending id, lengths in world units.
    """
    ids = torch.unique(labels[labels > 0]).tolist()
    return [boxes_around(gaussians.select(labels == i), i, kinds.get(i)) for i in ids]


def boxes_around(
    gaussians: Gaussians, object_id: int | None = None, kind: Kind | None = None
) -> ObjectBoxes:
    """The boxes of one object.

    Args:
        gaussians: the object's, at least one.
        object_id: its id, None for a selection.
        kind: "object" or "background", None if it is not known.

    Returns:
        An axis-aligned and an oriented box, lengths in world units.
    """
    low, high = bounds_of(gaussians)
    aligned = AlignedBox(_triple((low + high) / 2), _triple(high - low))
    return ObjectBoxes(object_id, kind, len(gaussians), aligned, box_of(gaussians))


def write_boxes(path: Path | str, boxes: Sequence[ObjectBoxes]) -> None:
    """Write JSON with the boxes and their conventions: units, axes and rotation.

    Args:
        path: the file.
        boxes: what to write.

    Raises:
        SplatsegError: the file cannot be written.
    """
    rows = [box.to_json() for box in boxes]
    content = {"schema": SCHEMA, **CONVENTIONS, "boxes": rows}
    write_bytes(Path(path), json.dumps(content, indent=1).encode())


def _triple(values: Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return (x, y, z)
