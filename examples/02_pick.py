"""One click, one object: its mask in any view, and the object alone.

python examples/02_pick.py [SCENE FOLDER]        after 01_demo.py; else out/demo out/02_pick
"""

import sys
from pathlib import Path

from splatseg import Picker, PointPrompt, extract, load_scene, picture, save_scene, save_selection

CLICK = PointPrompt("frame_00037", 302.5, 248.5)  # on the power drill, in pixels of the photo
ELSEWHERE = "frame_00000"


def pick(scene_folder: Path, folder: Path) -> None:
    """Pick the drill."""
    scene = load_scene(scene_folder)
    picker = Picker(scene)
    drill = picker.pick([CLICK])
    mask = picker.mask(drill, ELSEWHERE)
    print(f"{int(drill.selected.sum())} Gaussians; {mask.sum()} pixels of {ELSEWHERE}")
    save_selection(folder / "drill.safetensors", drill)  # to load_selection again
    save_scene(folder / "drill", extract(scene, drill.weights))  # a scene of its own
    picture(scene, ELSEWHERE, mask).save(folder / "picture.png")


if __name__ == "__main__":
    pick(*map(Path, sys.argv[1:] or ("out/demo", "out/02_pick")))
