"""Running the protocols that ask by prompts."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from splatseg.errors import SplatsegError
from splatseg.evaluation.prompt_truth import open_3d_ovs, open_lerf_mask
from splatseg.evaluation.protocols import PromptProtocol
from splatseg.evaluation.reports import prompts_report
from splatseg.evaluation.text import score_prompts
from splatseg.images import RGB
from splatseg.scene import Scene
from splatseg.scene.photos import render_as_photo
from splatseg.segmentation import THRESHOLD, NothingCovered, Picker
from splatseg.segmentation.selection import Queries
from splatseg.text import Grounder, Grounding

OPENERS = {"text": open_lerf_mask, "3d-ovs": open_3d_ovs}
TRUTH_FOLDERS = {"text": "test_mask", "3d-ovs": "segmentations"}

OnGrounded = Callable[[RGB, Mapping[str, Grounding]], None]
"""Told the reference view as it was rendered, and what each prompt means in it."""

log = logging.getLogger(__name__)


def run_text(
    scene: Scene,
    root: Path,
    protocol: PromptProtocol,
    truth_folder: Path | None,
    grounder: Grounder,
    on_grounded: OnGrounded,
) -> dict[str, Any]:
    """The report of prompts' masks; the prompts are grounded in the rendered reference view.

    `truth_folder` is by default where the published data set has it in the capture `root`.
    """
    folder = truth_folder or root / TRUTH_FOLDERS[protocol]
    truth = OPENERS[protocol](folder, scene.frames)
    frames = {frame.name: frame for frame in scene.frames}
    trained_on = [name for name in truth.views if not frames[name].is_test]
    if protocol == "text" and trained_on:  # 3D-OVS has no views apart for testing
        log.warning("scored in frames that the scene was trained on: %s", ", ".join(trained_on))
    picker = Picker(scene)
    image = render_as_photo(scene, frames[truth.reference])
    grounded = grounder.ground(truth.reference, image, truth.prompts)
    if not grounded:
        raise SplatsegError(
            f"{grounder.name} has an answer to none of the {len(truth.prompts)} prompts, such as "
            f"{truth.prompts[0]!r}, in the reference view {truth.reference}"
        )
    on_grounded(image, grounded)
    queries = _queries(picker, grounded)

    def predict(name: str, prompt: str) -> Bool[np.ndarray, "h w"] | None:
        if prompt not in queries:
            return None
        return picker.margin_of(queries[prompt], name) >= 0

    report = prompts_report(protocol, score_prompts(truth, predict))
    return report | {
        "threshold": THRESHOLD,
        "grounded_by": grounder.name,
        "views": [{"frame": name, "held_out": frames[name].is_test} for name in truth.views],
        "not_grounded": [prompt for prompt in truth.prompts if prompt not in queries],
    }


def _queries(picker: Picker, grounded: Mapping[str, Grounding]) -> dict[str, Queries]:
    """What each grounding points at, but for those where nothing was reconstructed."""
    queries = {}
    for prompt, grounding in grounded.items():
        try:
            queries[prompt] = picker.queries([grounding.region])
        except NothingCovered as error:
            log.warning("%s: %s", prompt, error)
    return queries
