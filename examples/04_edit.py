"""Objects edited: one recolored, one removed, one moved and turned.

python examples/04_edit.py [SCENE FOLDER]        after 01_demo.py; else out/demo out/04_edit
"""

import math
import sys
from pathlib import Path

import torch
from PIL import Image

from splatseg import (
    Picker,
    PointPrompt,
    find_unobserved,
    load_scene,
    move,
    recolor,
    remove,
    save_scene,
)
from splatseg.scene.photos import rendered_color
from splatseg.viz.montages import montage

FRAME = "frame_00000"
DRILL, APPLE, BANANA = (
    [PointPrompt("frame_00037", 302.5, 248.5)],
    [PointPrompt("frame_00037", 305.5, 200.5)],
    [PointPrompt("frame_00037", 300.5, 163.5)],
)


def edit(scene_folder: Path, folder: Path) -> None:
    """A blue drill, no apple, and the banana raised and turned."""
    scene = load_scene(scene_folder)
    picker = Picker(scene)
    drill, apple, banana = (picker.pick(clicks).weights for clicks in (DRILL, APPLE, BANANA))
    blue = recolor(scene, drill, torch.tensor([0.1, 0.3, 0.9]), strength=0.6)
    without = remove(scene, apple)
    unobserved = find_unobserved(scene.gaussians, apple, without.gaussians, scene.frames)
    print(f"{unobserved.fraction:.0%} of what the apple covered was never photographed")
    quarter = torch.tensor([math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)])
    raised = move(scene, banana, by=torch.tensor([0.0, 0.0, 0.1]), rotation=quarter)
    save_scene(folder / "without_apple", without)
    frame = scene.frame(FRAME)
    cells = [rendered_color(each, frame) for each in (scene, blue, without, raised)]
    captions = ["as it was", "recolored", "removed", "moved"]
    Image.fromarray(montage([cells], captions, 360)).save(folder / "picture.png")


if __name__ == "__main__":
    edit(*map(Path, sys.argv[1:] or ("out/demo", "out/04_edit")))
