"""What each part of the two presets is worth, on geometry that is trained once and stays.

    python benchmarks/quality/ablation.py CAPTURES WORK [--rows paper plus] [--scenes desk] ...
    python benchmarks/quality/ablation.py --table        the records as Markdown tables

`paper`: its Table 3, a row for each loss that is switched off, in 2D and in 3D (there by the
Gaussians' own features, as it selects). `plus`: ours, a row for each step of lifting that is left
out. `size`: ours, with features of 4 to 32 numbers. WORK holds the appearance of each scene and
seed, as tabletop.py makes it; rows that are recorded are not made again.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline import RECORDS, git
from tabletop import appearance

from splatseg.capture import load_capture
from splatseg.evaluation import EvaluationOptions, find_protocol
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting import hierarchy, holes, pseudo_labels, tracks
from splatseg.masks import open_masks
from splatseg.scene import load_scene
from splatseg.training import PRESETS, TrainConfig, contrast_features, lift_features
from splatseg.training.views import TrainingViews

TABLE = RECORDS / "ablation"
PAPER, PLUS = PRESETS["paper"], PRESETS["plus"]
NEVER = 2.0  # a fraction that nothing reaches


def lifted(gaussians: Gaussians, views: TrainingViews, config: TrainConfig) -> Any:
    """Features of whole objects by preset plus."""
    return lift_features(gaussians, views, config)["whole"]


def spatial(near: float, far: float) -> TrainConfig:
    """Preset paper with these weights of Eq. 4."""
    return replace(PAPER, spatial=replace(PAPER.spatial, near_weight=near, far_weight=far))


def lifting(**changes: Any) -> TrainConfig:
    """Preset plus with another setting of lifting."""
    return replace(PLUS, lift=replace(PLUS.lift, **changes))


def sized(features: int) -> TrainConfig:
    """Preset plus with features of another size."""
    return replace(PLUS, contrastive=replace(PLUS.contrastive, features=features))


@contextmanager
def changed(module: Any, **constants: float) -> Iterator[None]:
    """Constants of a module at other values for a while."""
    before = {name: getattr(module, name) for name in constants}
    vars(module).update(constants)
    yield
    vars(module).update(before)


# Row to how features are made, the configuration, and what else is changed.
Row = tuple[Callable[..., Any], TrainConfig, Callable[[], Any]]
ROWS: dict[str, dict[str, Row]] = {
    "paper": {
        "no 3D loss": (contrast_features, spatial(0.0, 0.0), lambda: changed(hierarchy)),
        "no similarity": (contrast_features, spatial(0.0, 0.15), lambda: changed(hierarchy)),
        "no dissimilarity": (contrast_features, spatial(0.05, 0.0), lambda: changed(hierarchy)),
        "complete": (contrast_features, PAPER, lambda: changed(hierarchy)),
    },
    "plus": {
        "complete": (lifted, PLUS, lambda: changed(hierarchy)),
        "features not trained": (lifted, lifting(steps=1), lambda: changed(hierarchy)),
        "edges of masks not used": (
            *(lifted, PLUS),
            lambda: changed(pseudo_labels, MIN_AGREEMENT=NEVER),
        ),
        "unsure pixels asked": (lifted, PLUS, lambda: changed(pseudo_labels, EDGE=0)),
        "all nested tracks are objects": (
            *(lifted, PLUS),
            lambda: changed(hierarchy, MIN_WHOLE_SCORE=0.0),
        ),
        "no nested track is an object": (
            *(lifted, PLUS),
            lambda: changed(hierarchy, MIN_WHOLE_SCORE=NEVER),
        ),
        "rare tracks fill nothing": (
            *(lifted, PLUS),
            lambda: changed(hierarchy, MIN_RARE_DETECTION_RATE=NEVER),
        ),
        "sides of a thing not joined": (lifted, PLUS, lambda: changed(tracks, SAME_SIDES=NEVER)),
        "holes not filled": (lifted, PLUS, lambda: changed(holes, MIN_FRACTION=NEVER)),
        "all masks, not the best 50": (lifted, lifting(max_masks=1000), lambda: changed(hierarchy)),
    },
    "size": {
        f"{size} numbers": (lifted, sized(size), lambda: changed(hierarchy))
        for size in (4, 8, 16, 32)
    },
}


def measure(options: argparse.Namespace, table: str, row: str, scene: Path, masks: str, seed: int):
    """The figures of one row: `click`, and `click3d` by votes and by the Gaussians' features."""
    make, config, patch = ROWS[table][row]
    config = replace(config, seed=seed, iterations=options.iterations)
    trained = load_scene(options.work / f"{scene.name}-rgb-{options.iterations}-{seed}")
    capture = load_capture(scene, downscale=trained.config["downscale"])
    mask_set = open_masks(capture.root, masks, [frame.name for frame in capture.frames])
    views = TrainingViews(capture, mask_set, config.contrastive, seed)
    with patch():
        features = make(trained.gaussians, views, config)
    made = replace(trained, gaussians=replace(trained.gaussians, features=features))
    click3d = find_protocol("click3d")
    figures = {
        "click": find_protocol("click").run(made, capture).report,
        "click3d": click3d.run(made, capture).report,
    }
    if table == "paper":
        own = EvaluationOptions(select_by_own_features=True)
        figures["click3d_features"] = click3d.run(made, capture, own).report
    return figures


def run(options: argparse.Namespace) -> None:
    """Make the records that are missing."""
    TABLE.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.scenes:
            capture = options.captures / name
            appearance(capture, options.work, options.iterations, seed)
            for masks in options.masks:
                for table in options.rows:
                    for row in ROWS[table]:
                        stem = "-".join([table, row.replace(" ", "_"), name, masks, str(seed)])
                        path = TABLE / f"{stem}.json"
                        if path.exists():
                            continue
                        figures = measure(options, table, row, capture, masks, seed)
                        record = {
                            "table": table,
                            "row": row,
                            "scene": name,
                            "masks": masks,
                            "seed": seed,
                            "iterations": options.iterations,
                            "commit": git("rev-parse", "--short", "HEAD"),
                            "date": date.today().isoformat(),
                            "figures": figures,
                        }
                        path.write_text(json.dumps(record, indent=1) + "\n")
                        print(path, f"{figures['click']['miou']:.3f}", flush=True)


COLUMNS = {
    "click": ("click", "miou"),
    "mBIoU": ("click", "mbiou"),
    "BIoU, 2 px": ("click", "biou2"),
    "best t": ("click", "best", "miou"),
    "in 3D": ("click3d", "miou"),
    "outside": ("click3d", "outside"),
    "in 3D, own features": ("click3d_features", "miou"),
    "outside, own features": ("click3d_features", "outside"),
}


def tables() -> str:
    """A table for each preset: means over scenes and seeds, by masks."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(TABLE.glob("*.json")):
        record = json.loads(path.read_text())
        groups[record["table"], record["masks"], record["row"]].append(record["figures"])
    lines = []
    for table, rows in ROWS.items():
        columns = {
            name: place
            for name, place in COLUMNS.items()
            if table == "paper" or place[0] != "click3d_features"
        }
        lines += ["", f"| {table}: masks, row | runs | " + " | ".join(columns) + " |"]
        lines.append("|---|---|" + "---|" * len(columns))
        for masks in sorted({key[1] for key in groups if key[0] == table}):
            for row in rows:
                figures = groups[table, masks, row]
                if figures:
                    cells = [
                        f"{fmean(_at(one, place) for one in figures):.3f}"
                        for place in columns.values()
                    ]
                    lines.append(f"| {masks}, {row} | {len(figures)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _at(figures: Any, place: tuple[str, ...]) -> float:
    for name in place:
        figures = figures[name]
    return figures


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--scenes", nargs="+", default=["desk", "kitchen"])
    parser.add_argument("--masks", nargs="+", default=["hard", "auto"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(tables())
    elif options.captures and options.work:
        run(options)
    else:
        parser.error("give CAPTURES and WORK, or --table")


if __name__ == "__main__":
    main()
