"""`clusters/1`: all objects of a scene, without a prompt.

One label map per test view. Labels and objects are matched one to one, with the largest sum of IoUs
over all test views at once; an object without a label scores 0. The figure is the mean over the
objects that a test view shows.
"""

from statistics import fmean

from splatseg.capture import Capture
from splatseg.evaluation.label_maps import label_maps
from splatseg.evaluation.panoptic import score_clusters
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.truth import load_truth
from splatseg.evaluation.views import photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    """`miou`; a row's `cluster` is the label that stands for the object, null if none does."""
    truth = load_truth(capture.root, photo_sizes(scene.test))
    matches = score_clusters(truth, label_maps(scene, truth, progress))
    return Evaluation(
        {
            "miou": fmean(match.iou for match in matches.values()),
            "objects": [
                {
                    "id": object_id,
                    "name": truth.names[object_id],
                    "miou": match.iou,
                    "cluster": match.label,
                }
                for object_id, match in matches.items()
            ],
        }
    )


PROTOCOL = Protocol(
    name="clusters",
    version=1,
    needs=frozenset({"instances", "objects"}),
    headlines=("miou",),
    measure=_measure,
)
