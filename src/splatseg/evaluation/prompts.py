"""Masks from prompts: what `text` and `3d-ovs` share.

Each prompt is grounded once, by a box or a mask in the reference view, the first view that the
truth has a folder of, as it is rendered. The object found there is asked for in every view that has
a true mask of the prompt. A prediction is resized to the truth's size by nearest pixel; truth above
128 is inside. A missing prediction scores 0; means are over views, then over prompts.

The reference view is scored like any other, by the mask that is predicted there and not by the one
that was given, as LERF-Mask's authors do: some prompts show in no other view. `other_views` has the
figures without it, over the prompts that other views show.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import MaskScores, mean_scores
from splatseg.evaluation.prompt_scores import PromptScore, score_prompts
from splatseg.evaluation.prompt_truth import PromptTruth
from splatseg.evaluation.protocol import Evaluation
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene
from splatseg.scene.photos import render_as_photo
from splatseg.segmentation import THRESHOLD, NothingCovered, Picker
from splatseg.segmentation.selection import Queries
from splatseg.text import Grounder, Grounding

log = logging.getLogger(__name__)


def measure_prompts(
    scene: Scene,
    truth: PromptTruth,
    grounder: Grounder,
    figures: Sequence[str],
    progress: Progress = SILENT,
) -> Evaluation:
    """Ground every prompt of `truth` in its reference view, and score the masks of all views.

    Args:
        figures: those of the protocol, among `MASK_FIGURES`.
        progress: gets the stage "scoring views".

    Raises:
        SplatsegError: the grounder has no answer to any prompt, or the scene has no features.
    """
    picker = Picker(scene)
    image = render_as_photo(scene, scene.frame(truth.reference))
    grounded = grounder.ground(truth.reference, image, truth.prompts)
    if not grounded:
        raise SplatsegError(
            f"{grounder.name} has an answer to none of the {len(truth.prompts)} prompts, such as "
            f"{truth.prompts[0]!r}, in the reference view {truth.reference}"
        )
    queries = _queries(picker, grounded)

    def predict(name: str, prompt: str) -> Bool[np.ndarray, "h w"] | None:
        if prompt not in queries:
            return None
        return picker.margin_of(queries[prompt], name) >= 0

    report = prompts_report(score_prompts(truth, predict, progress), figures) | {
        "threshold": THRESHOLD,
        "grounded_by": grounder.name,
        "views": [{"frame": name, "held_out": scene.frame(name).is_test} for name in truth.views],
        "not_grounded": [prompt for prompt in truth.prompts if prompt not in queries],
    }
    return Evaluation(report, reference=image, grounded=grounded)


def _queries(picker: Picker, grounded: Mapping[str, Grounding]) -> dict[str, Queries]:
    """What each grounding points at, but for those where nothing was reconstructed."""
    queries = {}
    for prompt, grounding in grounded.items():
        try:
            queries[prompt] = picker.queries([grounding.region])
        except NothingCovered as error:
            log.warning("%s: %s", prompt, error)
    return queries


def prompts_report(prompts: Sequence[PromptScore], figures: Sequence[str]) -> dict[str, Any]:
    """The mean of each figure, and under `other_views` without the reference."""
    others = [score.other_views for score in prompts if score.other_views is not None]
    return {
        **_figures(mean_scores(score.scores for score in prompts), figures),
        "other_views": _figures(mean_scores(others) if others else None, figures),
        "reference": prompts[0].reference,
        "objects": [
            {
                "name": score.prompt,
                "views": len(score.in_views),
                **_figures(score.scores, figures),
                "other_views": _figures(score.other_views, figures),
            }
            for score in prompts
        ],
    }


def _figures(scores: MaskScores | None, names: Sequence[str]) -> dict[str, float | None]:
    return {name: None if scores is None else getattr(scores, name) for name in names}
