"""The paper's Fig. 4 on a tabletop capture: the Gaussians that one click selects, in space.

    python benchmarks/quality/figure4.py CAPTURES WORK OUT.png [--scene desk] [--masks hard] ...

A row for each object, clicked as the protocol `click` does: the photo, then the Gaussians whose own
feature is like the clicked one (as the paper selects) for preset paper without Eq. 4, with it, and
for preset plus. What is selected stands out of the pale scene. WORK holds the scene's appearance.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ablation import ROWS
from PIL import Image
from tabletop import appearance

from splatseg.capture import Frame, load_capture
from splatseg.capture.photo import read_photo
from splatseg.evaluation.clicks import click_queries
from splatseg.evaluation.truth import load_truth
from splatseg.evaluation.views import photo_sizes
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import RGB, to_uint8
from splatseg.masks import open_masks
from splatseg.render import render
from splatseg.scene import load_scene
from splatseg.segmentation import Picker, PointPrompt
from splatseg.training.views import TrainingViews
from splatseg.viz.montages import montage
from splatseg.viz.pictures import mark

COLUMNS = {
    "paper, no 3D loss": ("paper", "no 3D loss"),
    "paper": ("paper", "complete"),
    "plus": ("plus", "complete"),
}
PALE = 0.25  # how much of the scene shows behind what is selected
CELL = 320  # pixels


def selected_picture(gaussians: Gaussians, selected: torch.Tensor, frame: Frame) -> RGB:
    """What is selected over the pale scene."""
    with torch.no_grad():
        scene = render(gaussians, frame.camera).image
        chosen = render(gaussians.select(selected), frame.camera)
    pale = 1 - PALE * (1 - scene)
    return to_uint8(chosen.image + (1 - chosen.alpha[..., None]) * pale)


def draw(options: argparse.Namespace) -> RGB:
    """The whole figure."""
    path = options.captures / options.scene
    made = load_scene(appearance(path, options.work, options.iterations, options.seed))
    capture = load_capture(path, downscale=made.config["downscale"])
    masks = open_masks(path, options.masks, [frame.name for frame in capture.frames])
    sizes = photo_sizes(capture.train)
    truth = load_truth(path, sizes)
    wanted = {query.object_id: query for query in click_queries(truth, sizes)}
    rows: dict[int, list[RGB]] = {}
    frames = {frame.name: frame for frame in capture.train}
    for object_id in options.objects:
        query = wanted[object_id]
        photo = read_photo(path / frames[query.frame].photo, like=sizes[query.frame])
        rows[object_id] = [mark(photo, query.x, query.y)]
    for table, row in COLUMNS.values():
        make, config, patch = ROWS[table][row]
        views = TrainingViews(capture, masks, config.contrastive, options.seed)
        with patch():
            features = make(made.gaussians, views, config)
        gaussians = replace(made.gaussians, features=features)
        for object_id in options.objects:
            query = wanted[object_id]
            click = PointPrompt(query.frame, query.x, query.y)
            picker = Picker(replace(made, gaussians=gaussians))
            selected = picker.select_by_own_features(picker.queries([click]))
            rows[object_id].append(selected_picture(gaussians, selected, frames[query.frame]))
    return np.asarray(montage(list(rows.values()), ["clicked", *COLUMNS], CELL))


def main() -> None:
    """Parse and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scene", default="desk")
    parser.add_argument("--masks", default="hard")
    parser.add_argument("--objects", nargs="+", type=int, required=True, help="ids of the truth")
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    Image.fromarray(draw(options)).save(options.out)


if __name__ == "__main__":
    main()
