"""Train, cluster and evaluate one capture, and keep the figures as a dated record.

    python benchmarks/quality/pipeline.py CAPTURE --masks NAME [--iterations N] [--seed S] ...
    python benchmarks/quality/pipeline.py --table        the records as a Markdown table

Each workflow runs in a process of its own, so that time and peak memory are its own. Captures are
passed as arguments and named in records by their folder.
"""

import argparse
import json
import os
import platform
import re
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from processes import measured

from splatseg.errors import SplatsegError
from splatseg.training.config import PRESETS
from splatseg.workflows.clustering import cluster
from splatseg.workflows.evaluation import evaluate_scene
from splatseg.workflows.lifting import lift
from splatseg.workflows.training import train

RECORDS = Path(__file__).parent / "records"
PROTOCOLS: dict[str, dict[str, Any]] = {
    "nvs": {"protocol": "nvs"},
    "click_one_pixel": {"protocol": "click", "query_radius": 0},
    "click": {"protocol": "click"},
    "click3": {"protocol": "click3"},
    "random_click": {"protocol": "random-click"},
    "click3d": {"protocol": "click3d"},
    "clusters": {"protocol": "clusters"},
    "objects": {"protocol": "objects"},
    "ceiling": {"protocol": "ceiling"},
}


def train_scene(options: argparse.Namespace) -> dict[str, Any]:
    """Train, and what it took."""
    preset = PRESETS[options.preset]
    result, seconds, memory = measured(
        *(train, options.capture, options.scene),
        config=replace(preset, iterations=options.iterations, seed=options.seed),
        masks=options.masks,
        restart=True,
        threads=options.threads,
    )
    return {
        "gaussians": result["gaussians"],
        "training_seconds": round(seconds, 1),
        "training_peak_gib": round(memory, 2),
    }


def lift_scene(options: argparse.Namespace) -> dict[str, Any]:
    """Lift onto a scene whose appearance is trained, and what both took."""
    result, seconds, memory = measured(
        *(lift, options.onto, options.capture, options.scene),
        masks=options.masks,
        seed=options.seed,
        restart=True,
        threads=options.threads,
    )
    appearance = json.loads((options.onto / "manifest.json").read_text())["metrics"]["training"]
    return {
        "gaussians": result["gaussians"],
        "training_seconds": round(appearance["seconds"] + seconds, 1),
        "training_peak_gib": round(memory, 2),
        "lifting_seconds": round(seconds, 1),
        "lifting_share": round(seconds / appearance["seconds"], 3),
    }


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Cluster, and score by all protocols; those whose truth the capture lacks are left out."""
    clusters, seconds, _ = measured(cluster, options.scene)
    figures: dict[str, Any] = {
        "objects_found": len(clusters["objects"]),
        "cluster_seconds": round(seconds, 1),
    }
    for name, protocol in PROTOCOLS.items():
        if options.protocols and name not in options.protocols:
            continue
        try:
            figures[name], _, _ = measured(
                *(evaluate_scene, options.scene, options.capture), **protocol
            )
        except SplatsegError as error:
            print(f"{name} is left out: {error}")
    return figures


def git(*arguments: str) -> str:
    """What a git command prints."""
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return process.stdout.strip()


def processor() -> str:
    """The processor's name, where the system tells."""
    path = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", path.read_text()) if path.exists() else []
    return names[0] if names else platform.processor()


def record(options: argparse.Namespace) -> Path:
    """Measure, and write the record; with `--refresh` keep what it says of the training."""
    commit = git("rev-parse", "--short", "HEAD")
    if git("status", "--porcelain", "--untracked-files=no", "--", "src", "native"):
        commit += "-dirty"
    parts = options.capture.resolve().parts
    name = f"{parts[-2]}-{parts[-1]}"
    stem = f"{name}-{options.masks}-{options.preset}-{options.iterations}-{options.seed}"
    path = options.records / f"{stem}.json"
    if options.refresh:
        data = json.loads(path.read_text())
    else:
        data = {
            "scene": name,
            "masks": options.masks,
            "preset": options.preset,
            "iterations": options.iterations,
            "seed": options.seed,
            "threads": options.threads,
            "machine": f"{os.cpu_count()} cores of {processor()}, {platform.machine()}, shared",
            "trained": {"commit": commit, "date": date.today().isoformat()},
            "figures": lift_scene(options) if options.onto else train_scene(options),
        }
    data["evaluated"] = {"commit": commit, "date": date.today().isoformat()}
    data["figures"] |= evaluate(options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def table() -> str:
    """All records, one row each."""
    rows = [
        "| scene | masks | preset, iterations | Gaussians | PSNR dB | click mIoU / mBIoU "
        "| one pixel | best t | click3 mIoU (worst) | clusters mIoU | training | peak |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(RECORDS.glob("*.json")):
        data = json.loads(path.read_text())
        f = data["figures"]
        click, one_pixel, click3 = f.get("click"), f.get("click_one_pixel"), f.get("click3")
        cells = [
            data["scene"],
            data["masks"],
            f"{data['preset']}, {data['iterations']:,}",
            f"{f['gaussians']:,}",
            f"{f['nvs']['psnr']:.2f}",
            f"{click['miou']:.3f} / {click['mbiou']:.3f}" if click else "–",
            f"{one_pixel['miou']:.3f}" if one_pixel else "–",
            f"{click['best']['miou']:.3f}" if click else "–",
            f"{click3['miou']:.3f} ({click3['worst']['miou']:.3f})" if click3 else "–",
            f"{f['clusters']['miou']:.3f}" if "clusters" in f else "–",
            f"{f['training_seconds'] / 60:.1f} min",
            f"{f['training_peak_gib']:.2f} GiB",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument("--scene", type=Path, help="scene folder to write, replacing what is there")
    parser.add_argument("--masks")
    parser.add_argument("--onto", type=Path, help="scene to lift onto, in place of training one")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, help="all by default")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of the records")
    parser.add_argument("--preset", default="paper", choices=list(PRESETS))
    parser.add_argument("--threads", type=int, help="CPU threads of training; all by default")
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refresh", action="store_true", help="evaluate again, do not train")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.capture and options.scene and options.masks:
        print(record(options))
    else:
        parser.error("give CAPTURE, --scene and --masks, or --table")


if __name__ == "__main__":
    main()
