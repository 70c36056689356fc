"""Where the time of a training run goes, stage by stage.

    python benchmarks/speed/stages.py CAPTURE --masks NAME [--iterations N]

Trains under cProfile into a temporary folder and adds up the wall time of the functions that make
up each stage.
"""

import argparse
import cProfile
import dataclasses
import pstats
import tempfile
from pathlib import Path

from splatseg.training.config import PRESETS
from splatseg.workflows.training import train

# Stage: (file, function) whose cumulative time belongs to it. None of them calls another.
STAGES = {
    "projection forward": ("render/native.py", "forward", 0),
    "binning": ("engine/library.py", "intersect_tiles", 0),
    "projection backward": ("render/native.py", "backward", 0),
    "blending forward": ("render/native.py", "forward", 1),
    "blending backward": ("render/native.py", "backward", 1),
    "L1 + SSIM with gradient": ("engine/photometric.py", "l1_and_ssim", 0),
    "Adam": ("engine/adam.py", "adam_steps", 0),
    "contrastive loss, forward": ("losses/contrastive.py", "contrastive_loss", 0),
    "spatial regularizer": ("losses/spatial.py", "spatial_similarity_loss", 0),
    "density control": ("training/density.py", "densify", 0),
    "photos and masks": ("training/views.py", ("photo", "labels"), 0),
    "checkpoints and saving": ("splatseg/files.py", "write_tensors", 0),
}


def cumulative(stats: pstats.Stats, file: str, names: tuple[str, ...], rank: int) -> float:
    """Seconds in functions of that name; `rank` counts them by their line in the file."""
    seconds = 0.0
    for name in names:
        rows = sorted(
            (line, row[3])
            for (path, line, function), row in stats.stats.items()  # type: ignore[attr-defined]
            if path.replace("\\", "/").endswith(file) and function == name
        )
        seconds += rows[rank][1] if rank < len(rows) else 0.0
    return seconds


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--masks")
    parser.add_argument("--preset", default="paper", choices=list(PRESETS))
    parser.add_argument("--iterations", type=int, default=2000)
    options = parser.parse_args()
    config = dataclasses.replace(PRESETS[options.preset], iterations=options.iterations)
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        profile.enable()
        result = train(options.capture, Path(folder), config=config, masks=options.masks)
        profile.disable()
    stats = pstats.Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    print(f"{options.iterations} iterations, {result.gaussians} Gaussians, {total:.1f} s")
    accounted = 0.0
    for stage, (file, names, rank) in STAGES.items():
        each = names if isinstance(names, tuple) else (names,)
        seconds = cumulative(stats, file, each, rank)
        accounted += seconds
        print(f"{stage:26s} {seconds:8.1f} s {100 * seconds / total:5.1f} %")
    print(
        f"{'everything else':26s} {total - accounted:8.1f} s {100 * (1 - accounted / total):5.1f} %"
    )


if __name__ == "__main__":
    main()
