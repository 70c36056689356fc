"""`random-click/1`: masks from `CLICKS_PER_OBJECT` random clicks per object.

Each click draws a training view, uniformly among those that show at least `MIN_TRUTH_PIXELS` of the
object, by name; then one of the mask's pixels, uniformly, in reading order. The generator is
numpy's default one, seeded by the object's id alone, so that another object changes none of its
clicks. The figures are means over the clicks; `worst` has those of each object's click with the
lowest mIoU. Masks are scored as click_masks.py says.
"""

from collections import defaultdict

import numpy as np

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_masks import clicks_report, measure_clicks
from splatseg.evaluation.clicks import Click, Sizes, click_on, warn_of_others
from splatseg.evaluation.metrics import MASK_FIGURES
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.truth import MIN_TRUTH_PIXELS, Truth, load_truth
from splatseg.evaluation.views import photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene

CLICKS_PER_OBJECT = 5


def random_clicks(truth: Truth, photo_sizes: Sizes) -> list[Click]:
    """The clicks on each object; `truth` and `photo_sizes` are those of the training views.

    Raises:
        SplatsegError: no training view shows enough of an object.
    """
    views: dict[int, list[str]] = defaultdict(list)
    for frame in sorted(truth.maps):
        for object_id, area in truth.areas(frame).items():
            if area >= MIN_TRUTH_PIXELS:
                views[object_id].append(frame)
    if not views:
        raise SplatsegError(
            f"no training view has ground truth in gt_instances/ with {MIN_TRUTH_PIXELS} pixels of "
            "an object, so the protocol random-click has nothing to click on"
        )
    warn_of_others(truth.names, views, f"in no training view with {MIN_TRUTH_PIXELS} pixels")
    clicks = []
    for object_id, frames in sorted(views.items()):
        rng = np.random.default_rng(object_id)
        for _ in range(CLICKS_PER_OBJECT):
            frame = frames[rng.integers(len(frames))]
            pixels = np.argwhere(truth.mask(frame, object_id))
            row, column = pixels[rng.integers(len(pixels))].tolist()
            clicks.append(click_on(truth, object_id, frame, (row, column), photo_sizes))
    return clicks


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    sizes = photo_sizes(scene.train)
    clicks = random_clicks(load_truth(capture.root, sizes), sizes)
    scores = measure_clicks(scene, capture, clicks, options.query_radius, progress)
    return clicks_report(scores, options.query_radius, has_worst=True)


PROTOCOL = Protocol(
    name="random-click",
    version=1,
    needs=frozenset({"instances", "features"}),
    headlines=MASK_FIGURES,
    measure=_measure,
)
