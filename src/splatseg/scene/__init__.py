"""The scene folder on disk: standard PLY, safetensors, manifest."""

from splatseg.scene.files import read_tensors, replacing_file, replacing_folder, write_tensors
from splatseg.scene.ply import read_ply, write_ply
from splatseg.scene.scene import Scene, add_metrics, load_scene, save_labels, save_scene

__all__ = [
    "Scene",
    "add_metrics",
    "load_scene",
    "read_ply",
    "read_tensors",
    "replacing_file",
    "replacing_folder",
    "save_labels",
    "save_scene",
    "write_ply",
    "write_tensors",
]
