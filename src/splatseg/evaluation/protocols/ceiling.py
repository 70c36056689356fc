"""`ceiling/1`: what votes can reach.

The truth lifted onto the scene's Gaussians (see lifted_truth.py), rendered in the test views (the
label with most blending weight), scored as `click` is. It asks for no features: a figure of the
geometry, beside which those of `click` are read.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool

from splatseg.capture import Capture
from splatseg.evaluation.click_masks import masks_report
from splatseg.evaluation.click_scores import score_clicks
from splatseg.evaluation.clicks import Click
from splatseg.evaluation.lifted_truth import lift_labels
from splatseg.evaluation.metrics import MASK_FIGURES
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.protocols.click import deepest_clicks
from splatseg.evaluation.truth import load_truth
from splatseg.evaluation.views import at_size, photo_sizes
from splatseg.progress import Progress
from splatseg.render import project
from splatseg.render.labels import label_image
from splatseg.scene import Scene


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    truth = load_truth(capture.root, photo_sizes(scene.test))
    known = load_truth(capture.root, photo_sizes(scene.train))
    labels = lift_labels(scene.gaussians, scene.train, known, progress)
    labels = labels.clamp_min(0)  # unseen ones are background

    def predict(name: str, asked: Sequence[Click]) -> Iterator[Bool[np.ndarray, "h w"]]:
        frame, shape = scene.frame(name), truth.maps[name].shape
        shown = label_image(project(scene.gaussians, frame.camera), labels).cpu().numpy()
        on_truth = at_size(frame, shape).lens.warp_to_photo(shown, nearest=True)
        for click in asked:
            yield on_truth == click.object_id

    clicks = deepest_clicks(known, photo_sizes(scene.train))
    return Evaluation(masks_report(score_clicks(clicks, truth, predict, progress)))


PROTOCOL = Protocol(
    name="ceiling",
    version=1,
    needs=frozenset({"instances"}),
    headlines=MASK_FIGURES,
    measure=_measure,
)
