"""`click/1`: masks from one click per object.

The click is on the pixel deepest inside the object's true mask (Euclidean distance to the outside,
where the image border is outside; the first such pixel in reading order), in the training view
where the mask has most pixels (the first such view). Masks are scored as click_masks.py says.
"""

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_masks import clicks_report, measure_clicks
from splatseg.evaluation.clicks import Click, Sizes, click_on, deepest_pixel, warn_of_others
from splatseg.evaluation.metrics import MASK_FIGURES
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.truth import Truth, load_truth
from splatseg.evaluation.views import photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene


def deepest_clicks(truth: Truth, photo_sizes: Sizes) -> list[Click]:
    """The click on each object; `truth` and `photo_sizes` are those of the training views.

    Raises:
        SplatsegError: no training view has truth.
    """
    if not truth.maps:
        raise SplatsegError(
            "no training view has ground truth in gt_instances/, so the protocol click has "
            "nothing to click on",
            remedy="use `protocol` click3, whose clicks are in prompts.json",
        )
    largest: dict[int, tuple[int, str]] = {}
    for frame in truth.maps:
        for object_id, area in truth.areas(frame).items():
            if area > largest.get(object_id, (0, ""))[0]:
                largest[object_id] = (area, frame)
    warn_of_others(truth.names, largest, "in no training view")
    return [
        click_on(truth, object_id, frame, deepest_pixel(truth.mask(frame, object_id)), photo_sizes)
        for object_id, (_, frame) in sorted(largest.items())
    ]


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    sizes = photo_sizes(scene.train)
    clicks = deepest_clicks(load_truth(capture.root, sizes), sizes)
    scores = measure_clicks(scene, capture, clicks, options.query_radius, progress)
    return clicks_report(scores, options.query_radius, has_worst=False)


PROTOCOL = Protocol(
    name="click",
    version=1,
    needs=frozenset({"instances", "features"}),
    headlines=MASK_FIGURES,
    measure=_measure,
)
