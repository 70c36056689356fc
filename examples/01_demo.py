"""The whole method on the capture that ships with splatseg: train, find all objects, pick one.

Takes a few minutes on two CPU cores. Masks are the set `hard`: they disagree from view to view, as
a real segmenter's do. The run is ten times shorter than one for good pictures.

    python examples/01_demo.py [FOLDER]        FOLDER is out/demo by default

The same by command: `splatseg train`, `cluster`, `pick`, `render` and `evaluate`.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from PIL import Image

from splatseg import PointPrompt
from splatseg.masks.config import Level
from splatseg.segmentation import PromptSet
from splatseg.training.config import PRESETS, TrainConfig
from splatseg.workflows.clustering import cluster
from splatseg.workflows.evaluation import evaluate_scene
from splatseg.workflows.picking import PickOptions, pick
from splatseg.workflows.rendering import render_views
from splatseg.workflows.training import train

CAPTURE = Path(__file__).parent / "captures" / "tabletop-demo"
CONFIG = replace(PRESETS["plus"], iterations=3000)
CLICK = PointPrompt("frame_00037", 302.5, 248.5)  # on the power drill, in pixels of the photo
PICKS: dict[str, Level] = {"drill": "whole", "drill-part": "part"}


class Stages:
    """A line for each stage, and how far it is: any object with these two methods will do."""

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, float] | None = None
    ) -> None:
        """`done` of `total` steps of a stage are finished."""
        print(f"\r{stage}: {done}/{total}", end="\n" if done == total else "", flush=True)

    def note(self, text: str) -> None:
        """A sentence worth reading."""
        print(text)


def demo(scene: Path, config: TrainConfig = CONFIG, downscale: int | None = None) -> None:
    """Train on the demo capture, and show what the scene knows."""
    progress = Stages()
    train(CAPTURE, scene, config=config, masks="hard", downscale=downscale, progress=progress)
    found = cluster(scene, progress=progress)
    print(f"{len(found.objects)} objects")
    for name, level in PICKS.items():
        prompts = PromptSet([CLICK], level=level)
        picked = pick(scene, prompts, options=PickOptions(name=name), progress=progress)
        print(f"{name}: {picked.gaussians} Gaussians, masks in {picked.folder}")
    shown = render_views(scene, pick="drill", progress=progress)
    for protocol in ("nvs", "click", "clusters"):
        figures = evaluate_scene(scene, CAPTURE, protocol=protocol).headline
        print(protocol, ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    print(
        f"\nLook at {shown.montage}: photo, render, features, objects and the picked drill, side "
        "by side."
    )
    if sys.stdout.isatty():
        Image.open(shown.montage).show()


if __name__ == "__main__":
    demo(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out/demo"))
