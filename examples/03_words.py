"""Objects by words. A detector is a download: here a file has the boxes that one would find.

    python examples/03_words.py [SCENE FOLDER]        after 01_demo.py; else out/demo out/03_words

To look with Grounding DINO in place of the file: `DetectorSource(load_detector(DEFAULT_DETECTOR))`.
"""

import json
import sys
from pathlib import Path

from PIL import Image

from splatseg import Picker, load_scene
from splatseg.scene.photos import photo_or_render
from splatseg.text import BoxFile, Grounder, ground_in_views
from splatseg.viz.grounding import debug_picture
from splatseg.viz.montages import montage
from splatseg.viz.pictures import highlight

FRAME, ELSEWHERE = "frame_00037", "frame_00000"
BOXES = {
    FRAME: [
        {"prompt": "yellow mustard bottle", "box": [242, 132, 286, 216], "score": 0.8},
        {"prompt": "red apple", "box": [288, 181, 323, 219], "score": 0.9},
    ]
}


def find(scene_folder: Path, folder: Path) -> None:
    """Find two things by words, and show what was found and where else they are."""
    scene = load_scene(scene_folder)
    picker = Picker(scene)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boxes.json").write_text(json.dumps(BOXES, indent=1))
    sizes = {frame.name: (frame.lens.width, frame.lens.height) for frame in scene.frames}
    grounder = Grounder(BoxFile(folder / "boxes.json", sizes))
    image = photo_or_render(scene, scene.frame(FRAME))
    prompts = [box["prompt"] for box in BOXES[FRAME]]
    rows = []
    for prompt, answers in ground_in_views(picker, grounder, prompts, [(FRAME, image)]).items():
        found = [answer.grounding for answer in answers if answer.agrees]
        selection = picker.pick([grounding.region for grounding in found])
        print(f"{prompt}: {int(selection.selected.sum())} Gaussians")
        elsewhere = photo_or_render(scene, scene.frame(ELSEWHERE))
        mask = picker.mask(selection, ELSEWHERE)
        rows.append([debug_picture(image, found[0].detections, None), highlight(elsewhere, mask)])
    sheet = montage(rows, ["what was found", "the same object elsewhere"], 480)
    Image.fromarray(sheet).save(folder / "picture.png")


if __name__ == "__main__":
    find(*map(Path, sys.argv[1:] or ("out/demo", "out/03_words")))
