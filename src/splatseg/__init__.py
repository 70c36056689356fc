"""Objects in 3D Gaussian scenes, from photos and 2D masks that disagree from view to view.

    scene = load_scene("out/demo")
    picker = Picker(scene)
    drill = picker.pick([Click("frame_00037", 302.5, 248.5)])
    mask = picker.mask(drill, "frame_00012")             # bool, in pixels of the photo
    save_scene("drill", extracted(scene, drill.weights))

The names here are what the commands of `splatseg` are made of; docs/api.md goes through them.
Training, lifting, masks and evaluation have packages of their own.
"""

import os

# Torch's OpenMP threads spin while they wait, which slows the engine's own threads down. The
# runtime reads this when it is loaded, so it comes before the first import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from splatseg.capture import Capture, load_capture
from splatseg.editing.edits import extract, hide, move, recolor, remove
from splatseg.editing.unobserved import find_unobserved
from splatseg.errors import NothingFound, SplatsegError
from splatseg.export.boxes import boxes_around, boxes_of, write_boxes
from splatseg.export.ids import write_ids, write_ids_ply
from splatseg.export.splats import write_splats
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.scene import Scene, load_scene, read_ply, save_scene
from splatseg.scene.photos import picture
from splatseg.segmentation import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    Picker,
    PointPrompt,
    ScribblePrompt,
    Selection,
    cluster_gaussians,
    combine,
    grow,
    load_selection,
    save_selection,
)

__all__ = [
    "BoxPrompt",
    "Camera",
    "Capture",
    "GaussianPrompt",
    "Gaussians",
    "MaskPrompt",
    "NothingFound",
    "Picker",
    "PointPrompt",
    "Scene",
    "ScribblePrompt",
    "Selection",
    "SplatsegError",
    "boxes_around",
    "boxes_of",
    "cluster_gaussians",
    "combine",
    "extract",
    "find_unobserved",
    "grow",
    "hide",
    "load_capture",
    "load_scene",
    "load_selection",
    "move",
    "picture",
    "read_ply",
    "recolor",
    "remove",
    "save_scene",
    "save_selection",
    "write_boxes",
    "write_ids",
    "write_ids_ply",
    "write_splats",
]
