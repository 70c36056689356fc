"""`text/2`: a mask per prompt, on LERF-Mask's files.

The true masks are `test_mask/<view>/<prompt>.png` in the capture: see prompt_truth.py. They are
asked for and scored as prompts.py says.
"""

import logging

from splatseg.capture import Capture
from splatseg.evaluation.metrics import MASK_FIGURES
from splatseg.evaluation.prompt_truth import open_lerf_mask
from splatseg.evaluation.prompts import measure_prompts
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.progress import Progress
from splatseg.scene import Scene

log = logging.getLogger(__name__)


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    grounder = options.required_grounder
    truth = open_lerf_mask(options.truth or capture.root / "test_mask", scene.frames)
    trained_on = [name for name in truth.views if not scene.frame(name).is_test]
    if trained_on:
        log.warning("scored in frames that the scene was trained on: %s", ", ".join(trained_on))
    return measure_prompts(scene, truth, grounder, MASK_FIGURES, progress)


PROTOCOL = Protocol(
    name="text",
    version=2,
    needs=frozenset({"prompts", "features"}),
    headlines=MASK_FIGURES,
    measure=_measure,
)
