"""Objects for other tools: splats, boxes, ids, masks, a surface and a video.

    python examples/05_export.py [SCENE FOLDER]        after 01_demo.py; else out/demo out/05_export

The same by command: `splatseg export out/demo --object 3 -o drill.glb`, and so on.
"""

import sys
from pathlib import Path

from PIL import Image

from splatseg import Picker, PointPrompt, load_scene, write_ids, write_splats
from splatseg.export.boxes import boxes_of, write_boxes
from splatseg.export.masks import selection_masks, write_coco
from splatseg.export.mesh import object_mesh, write_mesh
from splatseg.export.path import turntable
from splatseg.export.video import object_frames, write_video
from splatseg.segmentation.objects import bounds_of
from splatseg.viz.montages import montage

CLICK = PointPrompt("frame_00037", 302.5, 248.5)  # on the power drill


def export(scene_folder: Path, folder: Path) -> None:
    """The drill and the whole scene in the files of other tools."""
    scene = load_scene(scene_folder)
    picker = Picker(scene)
    drill = picker.pick([CLICK])
    alone = scene.gaussians.select(drill.selected)
    cameras = [frame.camera for frame in scene.train]

    write_splats(folder / "drill.spz", alone)
    write_mesh(folder / "drill.glb", object_mesh(alone, cameras))
    assert scene.labels is not None  # splatseg cluster gives them
    write_boxes(folder / "boxes.json", boxes_of(scene.gaussians, scene.labels, {}))
    write_ids(folder / "ids.npz", scene.labels, scene.parts)
    write_coco(folder / "drill.json", selection_masks(picker, [drill]), {1: "power drill"})

    low, high = bounds_of(alone)
    middle, radius = ((low + high) / 2).double(), float((high - low).norm() / 2)
    around = turntable(cameras, middle, 60, 480, 360, radius)
    frames = list(object_frames(scene.gaussians, drill.weights, around))
    write_video(folder / "drill.mp4", frames)
    Image.fromarray(montage([frames[::15]], ["drill.mp4"], 320)).save(folder / "picture.png")


if __name__ == "__main__":
    export(*map(Path, sys.argv[1:] or ("out/demo", "out/05_export")))
