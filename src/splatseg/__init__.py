"""Objects in 3D Gaussian scenes, from photos and 2D masks that disagree from view to view.

    scene = load_scene("out/demo")
    picker = Picker(scene)
    drill = picker.pick([PointPrompt("frame_00037", 302.5, 248.5)])
    mask = picker.mask(drill, "frame_00012")             # bool, in pixels of the photo
    save_scene("drill", extract(scene, drill.weights))

`reconstruct`, `make_masks`, `train`, `lift`, `cluster` and `run` are what the commands of the same
names call; docs/api.md goes through all names here.
"""

import os

import lazy_loader

# Torch's OpenMP threads spin while they wait, which slows the engine's own threads down. The
# runtime reads this when it is loaded, so it comes before the first import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
