from .ply import read_ply as read_ply
from .ply import write_ply as write_ply
from .scene import Scene as Scene
from .scene import add_metrics as add_metrics
from .scene import load_scene as load_scene
from .scene import save_labels as save_labels
from .scene import save_scene as save_scene
