"""`3d-ovs/2`: a mask per class, on 3D-OVS's files.

The true masks are `segmentations/<frame>/<class>.png` in the capture: see prompt_truth.py. They are
asked for and scored as prompts.py says; `miou` is the only figure. Views that the scene was trained
on are scored too: the data set has none apart for testing.
"""

from splatseg.capture import Capture
from splatseg.evaluation.prompt_truth import open_3d_ovs
from splatseg.evaluation.prompts import measure_prompts
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.progress import Progress
from splatseg.scene import Scene

FIGURES = ("miou",)


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    grounder = options.required_grounder
    truth = open_3d_ovs(options.truth or capture.root / "segmentations", scene.frames)
    return measure_prompts(scene, truth, grounder, FIGURES, progress)


PROTOCOL = Protocol(
    name="3d-ovs",
    version=2,
    needs=frozenset({"prompts", "features"}),
    headlines=FIGURES,
    measure=_measure,
)
