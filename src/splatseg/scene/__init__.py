"""The scene folder on disk: standard PLY, safetensors, manifest."""

from splatseg.scene.ply import read_ply, write_ply
from splatseg.scene.scene import Scene, add_metrics, load_scene, save_labels, save_scene

__all__ = [
    "Scene",
    "add_metrics",
    "load_scene",
    "read_ply",
    "save_labels",
    "save_scene",
    "write_ply",
]
