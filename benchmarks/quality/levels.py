"""Parts of objects: what a click selects at each level, against masks that lifting never saw.

    python benchmarks/quality/levels.py CAPTURES WORK [--scenes desk kitchen toys] [--masks auto]
    python benchmarks/quality/levels.py --table        the records as a Markdown table

Lifting gets every second training view. In the others, each mask that lies in one true object and
covers at most MAX_PART of it is a part as the segmenter sees it, and asked for by a click on its
innermost pixel in that view. WORK holds the appearance of each scene, as tabletop.py makes it.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pipeline import RECORDS, git
from scipy import ndimage
from tabletop import appearance

from splatseg.capture import load_capture
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting import Lifted, SegmentedView, lift
from splatseg.masks import LEVELS, open_masks
from splatseg.render import project
from splatseg.scene import load_scene
from splatseg.segmentation import THRESHOLD, feature_map, similarity_map
from splatseg.training import PRESETS
from splatseg.training.views import TrainingViews

TABLE = RECORDS / "levels"
MIN_PIXELS = 150
MIN_INSIDE = 0.9  # the fraction of a part that lies in its object
MAX_PART = 0.7  # its size, as a fraction of what the view shows of the object
GOOD = 0.5  # IoU from which a part is found


def parts(view: SegmentedView, truth: np.ndarray) -> Iterator[np.ndarray]:
    """The view's masks that are parts of a true object."""
    for index in range(view.segments):
        mask = view.mask(index).numpy()
        area = np.count_nonzero(mask)
        if area < MIN_PIXELS:
            continue
        ids, counts = np.unique(truth[mask], return_counts=True)
        best = counts.argmax()
        whole = np.count_nonzero(truth == ids[best])
        if ids[best] > 0 and counts[best] >= MIN_INSIDE * area and area <= MAX_PART * whole:
            yield mask


def scores(
    gaussians: Gaussians, levels: dict[Any, Lifted], view: SegmentedView, truth: np.ndarray
) -> list[list[float]]:
    """For each part in a view, the IoU of what a click on it selects at each level."""
    projected = project(gaussians, view.frame.camera)
    maps = [
        feature_map(_with(gaussians, levels[level].features), projected)
        if level in levels
        else None
        for level in LEVELS
    ]
    found = []
    for mask in parts(view, truth):
        inside = np.pad(mask, 1)
        depth = np.asarray(ndimage.distance_transform_edt(inside))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        ious: list[float] = []
        for features in maps:
            if features is None:  # nothing is finer than the level before
                ious.append(ious[-1])
                continue
            query = features.features[row, column]
            selected = (similarity_map(features, query[None]) >= THRESHOLD).numpy()
            either = np.count_nonzero(selected | mask)
            ious.append(np.count_nonzero(selected & mask) / either)
        found.append(ious)
    return found


def _with(gaussians: Gaussians, features: torch.Tensor) -> Gaussians:
    return Gaussians(**(gaussians.tensors() | {"features": features}))


def measure(root: Path, scene: Path, masks: str) -> dict[str, Any]:
    """All figures of one scene and mask set."""
    trained = load_scene(scene)
    capture = load_capture(root, downscale=trained.config["downscale"])
    mask_set = open_masks(capture.root, masks, [frame.name for frame in capture.frames])
    plus = PRESETS["plus"]
    views = TrainingViews(capture, mask_set, plus.contrastive, seed=0)
    segmented = [
        views.segmented(frame, plus.lift.max_masks)
        for frame in capture.train
        if views.has_masks(frame)
    ]
    rng = torch.Generator().manual_seed(0)
    levels = lift(trained.gaussians, segmented[::2], plus.lift, plus.contrastive.features, rng)
    rows = []
    for view in segmented[1::2]:
        truth = np.array(Image.open(root / "gt_instances" / f"{view.frame.name}.png"))
        rows += scores(trained.gaussians, levels, view, truth)
    ious = np.array(rows)
    return {
        "parts": len(ious),
        "things": {level: len(found.prototypes) - 1 for level, found in levels.items()},
        "iou": dict(zip(LEVELS, ious.mean(axis=0).round(4).tolist(), strict=True)),
        "iou_best_level": round(float(ious.max(axis=1).mean()), 4),
        "found_whole": round(float((ious[:, 0] >= GOOD).mean()), 4),
        "found_best_level": round(float((ious.max(axis=1) >= GOOD).mean()), 4),
    }


def run(options: argparse.Namespace) -> None:
    """Make the records that are missing."""
    TABLE.mkdir(parents=True, exist_ok=True)
    for name in options.scenes:
        for masks in options.masks:
            path = TABLE / f"{name}-{masks}.json"
            if path.exists():
                continue
            root = options.captures / name
            scene = appearance(root, options.work, options.iterations, seed=0)
            record = {
                "scene": name,
                "masks": masks,
                "commit": git("rev-parse", "--short", "HEAD"),
                "date": date.today().isoformat(),
                "figures": measure(root, scene, masks),
            }
            path.write_text(json.dumps(record, indent=1) + "\n")
            print(path, flush=True)


def table() -> str:
    """A row for each scene and mask set."""
    lines = [
        "| scene | masks | parts asked | whole | part | subpart | best level | found, whole "
        "| found, best level |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(TABLE.glob("*.json")):
        record = json.loads(path.read_text())
        f = record["figures"]
        cells = [*f["iou"].values(), f["iou_best_level"], f["found_whole"], f["found_best_level"]]
        numbers = " | ".join(f"{cell:.2f}" for cell in cells)
        lines.append(f"| {record['scene']} | {record['masks']} | {f['parts']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--scenes", nargs="+", default=["desk", "kitchen", "toys"])
    parser.add_argument("--masks", nargs="+", default=["auto"])
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.captures and options.work:
        run(options)
    else:
        parser.error("give CAPTURES and WORK, or --table")


if __name__ == "__main__":
    main()
