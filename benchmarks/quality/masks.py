"""How good are a set's 2D masks, photo by photo, before anything is trained on them?

    python benchmarks/quality/masks.py CAPTURE --masks NAME [--every N]
    python benchmarks/quality/masks.py --table        the records as a Markdown table

For every object that a photo shows with at least 60 pixels: the IoU of the best single mask. Where
that is below 0.8, what went wrong: the object comes in parts (masks that lie in it cover it
together), or joined with something else (one mask covers it, and as much again), or is missed.
Means are over pairs of object and photo. The masks are made beforehand, by `splatseg masks`; their
files say with which settings, and `--seconds` records what a photo took.
"""

import argparse
import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pipeline import git, processor

from splatseg.capture import load_capture
from splatseg.evaluation.truth import load_truth
from splatseg.masks import open_masks

RECORDS = Path(__file__).parent / "records" / "masks"
MIN_PIXELS = 60  # of an object in a photo: fewer are noise of the truth's own outline
GOOD = 0.8  # IoU from which an object counts as found
LIES_IN = 0.8  # fraction of a mask inside an object from which it is a part of it
COVERS = 0.8  # fraction of an object inside masks from which they cover it


def objects_of_photo(truth: np.ndarray, masks: np.ndarray) -> Iterator[tuple[int, float, str]]:
    """Each object's id, its best mask's IoU, and "found", "parts", "joined" or "missed"."""
    flat = masks.reshape(len(masks), -1)
    areas = flat.sum(axis=1)
    for object_id in np.unique(truth[truth > 0]).tolist():
        inside = (truth == object_id).ravel()
        size = int(inside.sum())
        if size < MIN_PIXELS:
            continue
        shared = flat[:, inside].sum(axis=1)
        best = float((shared / (areas + size - shared)).max(initial=0.0))
        parts = flat[shared >= LIES_IN * np.maximum(areas, 1)][:, inside].any(axis=0).sum()
        joined = (shared >= COVERS * size) & (areas >= 2 * size)
        if best >= GOOD:
            verdict = "found"
        elif parts >= COVERS * size:
            verdict = "parts"
        else:
            verdict = "joined" if joined.any() else "missed"
        yield object_id, best, verdict


def measure(capture_root: Path, name: str, every: int) -> dict[str, Any]:
    """The figures of one set of masks on the training photos, every `every`-th of them."""
    capture = load_capture(capture_root)
    frames = capture.train[::every]
    sizes = {frame.name: (frame.lens.width, frame.lens.height) for frame in frames}
    truth = load_truth(capture_root, sizes)
    masks = open_masks(capture_root, name, list(sizes))
    rows: dict[int, list[tuple[float, str]]] = {}
    counts = []
    for frame, size in sizes.items():
        segments = masks.segments(frame, size)
        if segments is None or frame not in truth.maps:
            continue
        truth_map = truth.maps[frame]
        segments = segments.resized(*truth_map.shape)
        counts.append(len(segments))
        for object_id, best, verdict in objects_of_photo(truth_map, segments.masks()):
            rows.setdefault(object_id, []).append((best, verdict))
    pairs = [pair for object_rows in rows.values() for pair in object_rows]
    return {
        "photos": len(counts),
        "masks_per_photo": round(float(np.mean(counts)), 1),
        **summary(pairs),
        "objects": [
            {"name": truth.names[object_id], **summary(object_rows)}
            for object_id, object_rows in sorted(rows.items())
        ],
    }


def summary(pairs: list[tuple[float, str]]) -> dict[str, Any]:
    """Mean IoU of the best masks, and the fraction of each verdict."""
    verdicts = [verdict for _, verdict in pairs]
    fractions = {v: round(verdicts.count(v) / len(pairs), 3) for v in set(verdicts)}
    mean = round(float(np.mean([best for best, _ in pairs])), 4)
    return {"best_iou": mean} | {
        verdict: fractions.get(verdict, 0.0) for verdict in ("found", "parts", "joined", "missed")
    }


def record(options: argparse.Namespace) -> Path:
    """Measure, and write the record."""
    parts = options.capture.resolve().parts
    data = {
        "scene": options.scene or f"{parts[-2]}-{parts[-1]}",
        "masks": options.masks,
        "how": options.how,
        "seconds_per_photo": options.seconds,
        "machine": f"{os.cpu_count()} cores of {processor()}, shared",
        "commit": git("rev-parse", "--short", "HEAD"),
        "date": date.today().isoformat(),
        "figures": measure(options.capture, options.masks, options.every),
    }
    path = RECORDS / f"{data['scene']}-{options.masks}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def table() -> str:
    """All records, one row each."""
    rows = [
        "| scene | masks | photos | masks a photo | best mask, mean IoU | found (≥ 0.8) | in parts "
        "| joined | missed | s a photo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(RECORDS.glob("*.json")):
        data = json.loads(path.read_text())
        f, seconds = data["figures"], data["seconds_per_photo"]
        cells = [data["scene"], data["masks"], f["photos"], f["masks_per_photo"]]
        cells += [f"{f['best_iou']:.3f}"]
        cells += [f"{100 * f[name]:.0f} %" for name in ("found", "parts", "joined", "missed")]
        cells += ["–" if seconds is None else f"{seconds:.1f}"]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument("--masks")
    parser.add_argument("--every", type=int, default=1, help="look at every N-th training photo")
    parser.add_argument("--scene", help="what the record calls the capture")
    parser.add_argument("--how", default="", help="settings the masks were made with")
    parser.add_argument("--seconds", type=float, help="that a photo took")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.capture and options.masks:
        print(record(options))
    else:
        parser.error("give CAPTURE and --masks, or --table")


if __name__ == "__main__":
    main()
