"""A mask per prompt and view against the truth: the scores of `text` and `3d-ovs`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from splatseg.capture.resampling import resize
from splatseg.evaluation.metrics import MaskScores, mean_scores, score_mask
from splatseg.evaluation.prompt_truth import TRUTH_LEVEL, PromptTruth
from splatseg.masks import read_mask
from splatseg.progress import SILENT, Progress

PredictMask = Callable[[str, str], Bool[np.ndarray, "h w"] | None]
"""A view's frame and a prompt to a mask of any size; None where there is no answer."""


@dataclass(frozen=True)
class PromptScore:
    """One prompt, by the frame of each view that shows it."""

    prompt: str
    reference: str
    """The view that the prompt was grounded in."""
    in_views: Mapping[str, MaskScores]

    @property
    def scores(self) -> MaskScores:
        """The mean over all views that show the prompt."""
        return mean_scores(self.in_views.values())

    @property
    def other_views(self) -> MaskScores | None:
        """The mean without the reference; None if it alone shows the prompt."""
        others = [scores for frame, scores in self.in_views.items() if frame != self.reference]
        return mean_scores(others) if others else None


def score_prompts(
    truth: PromptTruth, predict: PredictMask, progress: Progress = SILENT
) -> list[PromptScore]:
    """Ask for every prompt in every view that has a true mask of it, one view after the other.

    `progress` gets the stage "scoring views".
    """
    found: dict[str, dict[str, MaskScores]] = {prompt: {} for prompt in truth.prompts}
    for done, (frame, files) in enumerate(truth.views.items()):
        progress.update("scoring views", done, len(truth.views))
        for prompt, path in files.items():
            mask = read_mask(path, above=TRUTH_LEVEL)
            found[prompt][frame] = score_prediction(predict(frame, prompt), mask)
    return [PromptScore(prompt, truth.reference, found[prompt]) for prompt in truth.prompts]


def score_prediction(
    predicted: Bool[np.ndarray, "rows columns"] | None, truth: Bool[np.ndarray, "h w"]
) -> MaskScores:
    """Scores at the truth's size; 0 for no prediction."""
    if predicted is None:
        return MaskScores(0.0, 0.0, 0.0)
    height, width = truth.shape
    return score_mask(resize(predicted, width, height, nearest=True), truth)
