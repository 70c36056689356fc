"""`splatseg cluster`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from jaxtyping import Bool
from torch import Tensor

from splatseg.capture import Frame
from splatseg.capture.resampling import resize
from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.files import replacing_folder, write_bytes
from splatseg.images import AnyRGB, save_image, scaled
from splatseg.masks.config import Level
from splatseg.scene import Scene, load_scene, save_labels
from splatseg.scene.photos import photo_or_render
from splatseg.segmentation import cluster_gaussians, render_labels
from splatseg.segmentation.connected_components import FLOATER
from splatseg.segmentation.objects import (
    SceneObject,
    VisibilityStatistics,
    object_table,
    parts_within,
    visibility_statistics,
    with_earlier_ids,
)
from splatseg.viz.pictures import captioned_montage, highlight, montage, number_labels, paint_labels
from splatseg.workflows.device import choose_device

SHEET_VIEWS = 3
SHEET_CELL = 480  # pixels
LISTED = 12  # objects that are printed
THUMBNAIL = 192  # pixels, width and height
THUMBNAIL_MARGIN = 0.15  # of the object's larger side, on each side
THUMBNAIL_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """The things of a level."""

    labels: Tensor
    table: Sequence[SceneObject]
    seen: Mapping[int, VisibilityStatistics]


@dataclass(frozen=True)
class Cluster:
    """Find all objects of a scene without a prompt: an object id for every Gaussian."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    fresh_ids: bool = False
    """Number the objects anew, by size; else those that were found before keep their ids."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write ids, the object table, thumbnails and pictures into the scene."""
        scene = load_scene(self.scene).to(choose_device(self.device))
        training = [frame for frame in scene.frames if not frame.is_test]
        levels: list[Level] = ["whole", *scene.levels]
        found: dict[Level, ClusterResult] = {}
        with out.progress("clustering", 2 * len(levels) * len(training)) as line:
            steps = iter(range(2 * len(levels) * len(training)))
            for level in levels:
                above = list(found.values())[-1].labels if found else None
                found[level] = self._find(
                    scene, level, training, above, lambda done, total: line.update(next(steps))
                )
        return self._write(out, scene, found)

    def _find(
        self,
        scene: Scene,
        level: Level,
        frames: Sequence[Frame],
        above: Tensor | None,
        report: Callable[[int, int], None],
    ) -> ClusterResult:
        """The things of a level; of a finer one, parts of the things `above`."""
        gaussians = scene.at(level).gaussians
        labels, parents = cluster_gaussians(gaussians, frames, report), {}
        if above is not None:
            labels, parents = parts_within(labels, above)
        elif scene.labels is not None and not self.fresh_ids:
            labels = with_earlier_ids(labels, scene.labels)
        seen = visibility_statistics(gaussians, labels, frames, report)
        return ClusterResult(labels, object_table(gaussians, labels, seen, parents), seen)

    def _write(
        self, out: Output, scene: Scene, found: dict[Level, ClusterResult]
    ) -> dict[str, Any]:
        whole = found.pop("whole")
        wholes, objects = whole.labels, whole.table
        rows = [row.to_json() for row in objects]
        parts = {level: [row.to_json() for row in each.table] for level, each in found.items()}
        save_labels(self.scene, wholes, {level: each.labels for level, each in found.items()})
        content = json.dumps({"objects": rows, **parts}, indent=1).encode()
        write_bytes(self.scene / "objects.json", content)
        self._write_thumbnails(scene, whole)
        self._write_sheet(scene, wholes)
        floaters = int((wholes == FLOATER).sum())
        unassigned = int((wholes == 0).sum())
        listed = [row for row in objects if row.kind == "object"]
        out.say(
            f"{len(listed)} objects, and {len(objects) - len(listed)} of the background; "
            f"{unassigned} Gaussians belong to none, {floaters} float"
        )
        for level, table in parts.items():
            out.say(f"{len(table)} at the level {level}")
        out.table([_printed(row.to_json()) for row in listed[:LISTED]])
        out.wrote(self.scene / "labels.safetensors", "id of each Gaussian, 0 = none, -1 floats")
        out.wrote(self.scene / "objects.json", "the object table")
        out.wrote(self.scene / "objects", "a thumbnail for each object")
        out.wrote(self.scene / "objects.png", "look here first")
        out.wrote(self.scene / "clusters.png", "three views")
        out.next(f"splatseg render {self.scene} --kinds color clusters")
        return {
            "scene": str(self.scene),
            "unassigned": unassigned,
            "floaters": floaters,
            "objects": rows,
            **parts,
        }

    def _write_thumbnails(self, scene: Scene, found: ClusterResult) -> None:
        thumbnails = self._thumbnails(scene, found)
        cells, captions = [], []
        with replacing_folder(self.scene / "objects") as folder:
            for row in found.table:
                if row.id in thumbnails:
                    save_image(folder / f"{row.id}.png", thumbnails[row.id])
                    if row.kind == "object":
                        cells.append(thumbnails[row.id])
                        captions.append(f"{row.id}: {row.gaussians}")
        if cells:
            sheet = captioned_montage(cells, captions, THUMBNAIL_COLUMNS, THUMBNAIL)
            save_image(self.scene / "objects.png", sheet)

    def _thumbnails(self, scene: Scene, found: ClusterResult) -> dict[int, AnyRGB]:
        """Each thing in the view that shows it best; a view of several is rendered once."""
        best = {row.id: found.seen[row.id].best for row in found.table}
        thumbnails = {}
        for frame in scene.frames:
            things = [thing for thing, name in best.items() if name == frame.name]
            if not things:
                continue
            shown = render_labels(scene.gaussians, found.labels, frame).cpu().numpy()
            ids, photo = (
                frame.lens.warp_to_photo(shown, nearest=True),
                photo_or_render(scene, frame),
            )
            for thing in things:
                if (ids == thing).any():
                    thumbnails[thing] = cut_out(photo, ids == thing)
        return thumbnails

    def _write_sheet(self, scene: Scene, labels: Tensor) -> None:
        frames = scene.frames
        chosen = np.linspace(0, len(frames) - 1, min(SHEET_VIEWS, len(frames))).astype(int)
        count = int(labels.max())
        rows = []
        for frame in [frames[i] for i in chosen]:
            shown = render_labels(scene.gaussians, labels, frame).cpu().numpy()
            photo = scaled(photo_or_render(scene, frame), SHEET_CELL)
            height, width = photo.shape[:2]
            ids = resize(frame.lens.warp_to_photo(shown, nearest=True), width, height, nearest=True)
            rows.append([photo, number_labels(paint_labels(ids, count), ids)])
        save_image(
            self.scene / "clusters.png",
            montage(rows, ["photo", "objects, with their ids"], SHEET_CELL),
        )


def cut_out(photo: AnyRGB, mask: Bool[np.ndarray, "h w"]) -> AnyRGB:
    """A square of the photo around a mask, which is outlined; as large as a thumbnail."""
    rows, columns = np.nonzero(mask)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    half = int(side * (0.5 + THUMBNAIL_MARGIN)) + 1
    middle = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    padded = np.pad(photo, ((half, half), (half, half), (0, 0)))
    window = np.s_[middle[0] : middle[0] + 2 * half, middle[1] : middle[1] + 2 * half]
    square = scaled(padded[window], THUMBNAIL)
    return highlight(square, resize(np.pad(mask, half)[window], THUMBNAIL, THUMBNAIL, nearest=True))


def _printed(row: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(row["id"]),
        "Gaussians": str(row["gaussians"]),
        "views": str(row["views"]),
        "center": " ".join(f"{v:.2f}" for v in row["center"]),
        "size": " x ".join(f"{v:.2f}" for v in row["size"]),
        "color": "#" + "".join(f"{v:02x}" for v in row["color"]),
    }
