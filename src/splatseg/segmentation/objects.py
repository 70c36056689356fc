"""The objects of a clustered scene as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from splatseg.capture import Frame
from splatseg.geometry import SH_DC, Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import project
from splatseg.render.labels import label_image
from splatseg.segmentation.oriented_box import OrientedBox, oriented_box

BOX_QUANTILES = (0.02, 0.98)  # floaters would stretch a box around all Gaussians
MIN_SHOWN = 50  # pixels of the undistorted image from which a view shows an object
BORDER = 3  # pixels along the image's edge: what reaches them is cut
MIN_CUT = 0.5  # the fraction of the views showing an object that cut it, for it to be background
MIN_VIEWS = 0.15  # the fraction of all views that show an object, at least
MAX_PART = 0.8  # of its object's Gaussians; more, and it is the object again
SAME_OBJECT = 0.5  # IoU from which an object keeps the id that it had

Kind = Literal["object", "background"]


@dataclass(frozen=True)
class VisibilityStatistics:
    """Where views show an object."""

    views: int
    """That show at least MIN_SHOWN pixels of it."""
    kind: Kind
    """Background is what most of these views cut, such as a table, and what hardly any shows."""
    best: str | None
    """The frame that shows most of it, whole if one does."""


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene; lengths in world units."""

    id: int
    kind: Kind
    gaussians: int
    views: int
    """Training views that show it."""
    center: tuple[float, float, float]
    """Median of the Gaussians' centers."""
    size: tuple[float, float, float]
    """Sides of the axis-aligned box that holds the Gaussians but for a few outliers."""
    box: OrientedBox
    """The box turned as the object lies."""
    box_volume: float
    """Of that box, cubic world units."""
    color: tuple[int, int, int]
    """Mean base color weighted by opacity, 0 to 255."""
    parent: int | None = None
    """Of a part: the id of the object, one level up, that it is a part of."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def object_table(
    gaussians: Gaussians,
    labels: Int[Tensor, " n"],
    seen: Mapping[int, VisibilityStatistics],
    parents: Mapping[int, int] | None = None,
) -> list[SceneObject]:
    """A row for every id above 0 that has Gaussians, by id; `parents` are those of parts."""
    ids = torch.unique(labels[labels > 0]).tolist()
    return [
        _describe(gaussians, labels == number, number, seen[number], (parents or {}).get(number))
        for number in ids
    ]


def bounds_of(gaussians: Gaussians) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Two corners of the axis-aligned box that holds the centers but for a few outliers."""
    low, high = (torch.quantile(gaussians.means, q, dim=0) for q in BOX_QUANTILES)
    return low, high


def box_of(gaussians: Gaussians) -> OrientedBox:
    """The oriented box of the centers, which count by opacity."""
    return oriented_box(
        gaussians.means.detach().cpu().numpy(), gaussians.opacities.detach().cpu().numpy()
    )


def visibility_statistics(
    gaussians: Gaussians,
    labels: Int[Tensor, " n"],
    frames: Sequence[Frame],
    progress: Progress = SILENT,
) -> dict[int, VisibilityStatistics]:
    """Where `frames` show each id from 1 to the largest of `labels`.

    `progress` is told of the stage "visibility", a step for each view.
    """
    count = max(0, int(labels.max())) + 1
    pixels = np.zeros((len(frames), count), dtype=np.int64)
    is_cut = np.zeros((len(frames), count), dtype=bool)
    for index, frame in enumerate(frames):
        view = project(gaussians, frame.camera, sh_degree=0)
        shown = label_image(view, labels.clamp_min(0)).cpu().numpy()
        pixels[index] = np.bincount(shown.ravel(), minlength=count)
        inner = shown[BORDER:-BORDER, BORDER:-BORDER]
        is_cut[index] = pixels[index] > np.bincount(inner.ravel(), minlength=count)
        progress.update("visibility", index + 1, len(frames))
    found = {}
    for number in range(1, count):
        shows = pixels[:, number] >= MIN_SHOWN
        whole = shows & ~is_cut[:, number]
        is_rare = shows.sum() < MIN_VIEWS * len(frames)
        best = np.where(whole if whole.any() else shows, pixels[:, number], 0)
        found[number] = VisibilityStatistics(
            views=int(shows.sum()),
            kind="background" if is_rare or whole.sum() <= MIN_CUT * shows.sum() else "object",
            best=frames[int(best.argmax())].name if best.any() else None,
        )
    return found


def parts_within(
    parts: Int[Tensor, " n"], wholes: Int[Tensor, " n"]
) -> tuple[Int[Tensor, " n"], dict[int, int]]:
    """Those of `parts` that are parts of an object of `wholes`, and the object of each.

    A part that is its whole object, but for some Gaussians, is none.
    """
    kept = torch.zeros_like(parts)
    parents: dict[int, int] = {}
    for part in torch.unique(parts[parts > 0]).tolist():
        inside = parts == part
        owners, counts = torch.unique(wholes[inside], return_counts=True)
        owner = int(owners[counts.argmax()])
        within = inside & (wholes == owner)
        if owner > 0 and int(within.sum()) <= MAX_PART * int((wholes == owner).sum()):
            kept[within] = part
            parents[part] = owner
    return kept, parents


def with_earlier_ids(labels: Int[Tensor, " n"], before: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """`labels` with each object under the id that it had `before`; new objects get new ids.

    The ids are assigned so that the sum of IoUs, of those of SAME_OBJECT or more, is largest.
    """
    new, old = labels.clamp_min(0).cpu().numpy(), before.clamp_min(0).cpu().numpy()
    shared = np.zeros((int(new.max(initial=0)) + 1, int(old.max(initial=0)) + 1))
    np.add.at(shared, (new, old), 1)
    either = shared.sum(axis=1)[:, None] + shared.sum(axis=0) - shared
    iou = (shared / np.maximum(either, 1))[1:, 1:]
    rows, columns = linear_sum_assignment(np.where(iou >= SAME_OBJECT, iou, 0), maximize=True)
    ids = np.zeros(len(shared), dtype=np.int64)
    same = iou[rows, columns] >= SAME_OBJECT
    ids[rows[same] + 1] = columns[same] + 1
    fresh = np.setdiff1d(np.unique(new[new > 0]), rows[same] + 1)
    ids[fresh] = np.arange(shared.shape[1], shared.shape[1] + len(fresh))
    renamed = torch.from_numpy(ids).to(labels.device)[labels.clamp_min(0)]
    return torch.where(labels > 0, renamed, labels)


def _describe(
    gaussians: Gaussians,
    inside: Bool[Tensor, " n"],
    number: int,
    seen: VisibilityStatistics,
    parent: int | None,
) -> SceneObject:
    members = gaussians.select(inside)
    low, high = bounds_of(members)
    box = box_of(members)
    weights = members.opacities[:, None]
    base = (0.5 + SH_DC * members.sh[:, 0]).clamp(0, 1)
    color = (base * weights).sum(dim=0) / weights.sum()
    return SceneObject(
        id=number,
        kind=seen.kind,
        gaussians=len(members),
        views=seen.views,
        center=_triple(members.means.median(dim=0).values),
        size=_triple(high - low),
        box=box,
        box_volume=box.volume,
        color=tuple((color * 255).round().int().tolist()),
        parent=parent,
    )


def _triple(values: Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return (round(x, 4), round(y, 4), round(z, 4))
