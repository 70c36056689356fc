"""`objects/1`: all objects of a scene, without a prompt, and what is wrong with them.

The label maps of `clusters`. All counts are of pixels in all test views at once. `miou` is that of
`clusters`.

An object and a label are a true positive where their IoU is above 0.5, which holds for at most one
label of an object and one object of a label. Other objects are false negatives, other labels false
positives, but for those with most of their pixels on void: they are `ignored`. Void is what
`gt_stuff` names (> 0) and no object covers; without that file, all that no object covers. An IoU
counts void pixels like any others. `sq` is the mean IoU of the true positives (0 without any), `rq`
is tp / (tp + fp/2 + fn/2), `pq` their product.

`over_segmented` counts objects of at least two `parts`. A part is a label with more than half of
its pixels in the object that holds at least a tenth of it. `under_segmented` counts labels that
hold at least half of each of two objects or more.
"""

from statistics import fmean
from typing import Any

from splatseg.capture import Capture
from splatseg.evaluation.label_maps import label_maps
from splatseg.evaluation.panoptic import TubeScore, score_objects
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.truth import load_truth, load_void
from splatseg.evaluation.views import photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    """`miou`, `pq` = `sq` x `rq`, and the counts behind them."""
    truth = load_truth(capture.root, photo_sizes(scene.test))
    void = load_void(capture.root, truth)
    score = score_objects(truth, void, label_maps(scene, truth, progress))
    return Evaluation(
        {
            "miou": fmean(tube.match.iou for tube in score.objects),
            "pq": score.pq,
            "sq": score.sq,
            "rq": score.rq,
            "tp": score.tp,
            "fp": score.fp,
            "fn": score.fn,
            "ignored": score.ignored,
            "over_segmented": score.over_segmented,
            "under_segmented": score.under_segmented,
            "objects": [_row(tube) for tube in score.objects],
        }
    )


def _row(tube: TubeScore) -> dict[str, Any]:
    return {
        "id": tube.object_id,
        "name": tube.name,
        "miou": tube.match.iou,
        "cluster": tube.match.label,
        "matched": tube.matched,
        "parts": tube.parts,
    }


PROTOCOL = Protocol(
    name="objects",
    version=1,
    needs=frozenset({"instances", "objects"}),
    headlines=("miou", "pq", "sq", "rq"),
    measure=_measure,
)
