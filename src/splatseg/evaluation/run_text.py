"""Running the protocols that ask by prompts, grounded in files."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.evaluation.prompt_truth import (
    PromptTruth,
    open_3d_ovs,
    open_lerf_mask,
)
from splatseg.evaluation.protocols import PromptProtocol
from splatseg.evaluation.reports import prompts_report
from splatseg.evaluation.text import score_prompts
from splatseg.gaussians import Gaussians
from splatseg.masks import read_mask
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.segmentation import THRESHOLD, feature_map, photo_similarity

OPENERS = {"text": open_lerf_mask, "3d-ovs": open_3d_ovs}
TRUTH_FOLDERS = {"text": "test_mask", "3d-ovs": "segmentations"}

log = logging.getLogger(__name__)


def run_text(
    scene: Scene, root: Path, protocol: PromptProtocol, truth_folder: Path | None, grounding: Path
) -> dict[str, Any]:
    """The report of a prompt's masks; `grounding` holds <prompt>.png, masks of the reference view.

    `truth_folder` is by default where the published data set has it in the capture `root`.
    """
    folder = truth_folder or root / TRUTH_FOLDERS[protocol]
    truth = OPENERS[protocol](folder, scene.frames)
    frames = {frame.name: frame for frame in scene.frames}
    trained_on = [name for name in truth.views if not frames[name].is_test]
    if protocol == "text" and trained_on:  # 3D-OVS has no views apart for testing
        log.warning("scored in frames that the scene was trained on: %s", ", ".join(trained_on))
    if scene.gaussians.features.shape[1] == 0:
        raise SplatsegError("the scene has no segmentation features; train it with masks first")
    queries = _queries(scene.gaussians, frames[truth.reference], truth, grounding)

    def predict(name: str, prompt: str) -> Bool[np.ndarray, "h w"] | None:
        query = queries.get(prompt)
        if query is None:
            return None
        return photo_similarity(scene.gaussians, frames[name], query) >= THRESHOLD

    report = prompts_report(protocol, score_prompts(truth, predict))
    return report | {
        "threshold": THRESHOLD,
        "views": [{"frame": name, "held_out": frames[name].is_test} for name in truth.views],
        "not_grounded": [prompt for prompt in truth.prompts if prompt not in queries],
    }


def mask_query(
    gaussians: Gaussians, frame: Frame, mask: Bool[np.ndarray, "h w"]
) -> Float[Tensor, "1 f"] | None:
    """The mean unit feature inside a mask of the frame's photo; None where it holds nothing.

    The mask may have any size; it is taken to show the whole photo.
    """
    rendered = feature_map(gaussians, project(gaussians, frame.camera))
    inside = frame.lens.warp_to_working(mask, frame.camera, nearest=True)
    held = rendered.covered & torch.from_numpy(inside).to(rendered.covered.device)
    if not bool(held.any()):
        return None
    return F.normalize(rendered.features[held].mean(dim=0, keepdim=True), dim=1)


def _queries(
    gaussians: Gaussians, reference: Frame, truth: PromptTruth, grounding: Path
) -> dict[str, Float[Tensor, "1 f"]]:
    """The feature of each prompt that has a file in `grounding` and something under its mask."""
    files = {prompt: grounding / f"{prompt}.png" for prompt in truth.prompts}
    found = {prompt: path for prompt, path in files.items() if path.is_file()}
    if not found:
        raise SplatsegError(
            f"{grounding} has a mask for none of the {len(files)} prompts; expected masks of the "
            f"reference view {reference.name}, such as {next(iter(files.values())).name}"
        )
    queries = {
        prompt: mask_query(gaussians, reference, read_mask(path, above=0))
        for prompt, path in found.items()
    }
    return {prompt: query for prompt, query in queries.items() if query is not None}
