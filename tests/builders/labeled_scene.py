"""The true scene of the three balls as a scene folder, untrained: each ball is an object."""

import dataclasses
import json
from pathlib import Path

import torch

from splatseg.capture import load_capture
from splatseg.scene import Scene, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint

from .synthetic import Synthetic, true_gaussians


def labeled_scene(synthetic: Synthetic) -> Scene:
    """Objects 1 to 3 are the balls, 0 is the ground; a feature axis for each of the four."""
    gaussians, labels = true_gaussians()
    features = torch.nn.functional.one_hot(labels, 4).float()
    return Scene(
        gaussians=dataclasses.replace(gaussians, features=features),
        frames=load_capture(synthetic.root).frames,
        capture=str(synthetic.root),
        config={},
        metrics={},
        labels=labels,
    )


def write_labeled_scene(synthetic: Synthetic, folder: Path) -> Path:
    """The scene, its object table, and a pick of the first ball, called "ball"."""
    scene = labeled_scene(synthetic)
    save_scene(folder, scene)
    kinds = {1: "object", 2: "object", 3: "background"}
    rows = [{"id": number, "kind": kind} for number, kind in kinds.items()]
    (folder / "objects.json").write_text(json.dumps({"objects": rows}))
    assert scene.labels is not None
    weights = (scene.labels == 1).float()
    pick = Selection(weights, fingerprint(scene.gaussians), ("by hand",))
    save_selection(folder / "picks" / "ball" / "selection.safetensors", pick)
    return folder
