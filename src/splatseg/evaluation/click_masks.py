"""Masks from clicks in the test views: what `click`, `click3` and `random-click` share.

The object's mask is asked for in every test view whose truth shows at least `MIN_TRUTH_PIXELS` of
it, at the truth's size, as `Picker` gives it to users: inside where the cosine similarity to the
click's query is at least `THRESHOLD`, nothing where alpha < 0.5. The report's `query_radius` says
which pixels around the click make up the query. A click that hits nothing scores 0.

Means are over views, then over an object's clicks, then over objects. `best` is a diagnosis and no
result: the same at the threshold of `THRESHOLDS` that suits the object best, judged by its mIoU
against the truth (the lowest such threshold).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_scores import ObjectScore, score_clicks, worst_cases
from splatseg.evaluation.clicks import Click
from splatseg.evaluation.metrics import mean_scores
from splatseg.evaluation.protocol import Evaluation
from splatseg.evaluation.truth import load_truth
from splatseg.evaluation.views import at_size, photo_sizes
from splatseg.progress import Progress
from splatseg.scene import Scene
from splatseg.segmentation import Picker
from splatseg.segmentation.selection import Queries


def measure_clicks(
    scene: Scene, capture: Capture, clicks: Sequence[Click], query_radius: int, progress: Progress
) -> list[ObjectScore]:
    """Score what each click's mask is in the test views.

    Args:
        clicks: in training views of the scene.
        query_radius: pixels around a click that make up its query.
        progress: gets the stage "scoring views".
    """
    truth = load_truth(capture.root, photo_sizes(scene.test))
    picker = Picker(scene)
    views = {name: at_size(scene.frame(name), m.shape) for name, m in truth.maps.items()}
    queries = {click: click_queries(picker, click, query_radius) for click in clicks}

    def predict(frame: str, asked: Sequence[Click]) -> Iterator[Float[np.ndarray, "h w"] | None]:
        for click in asked:
            found = queries[click]
            yield None if found is None else picker.margin_of(found, views[frame])

    return score_clicks(clicks, truth, predict, progress)


def click_queries(picker: Picker, click: Click, radius: int) -> Queries | None:
    """What a click points at; None where it hits nothing, which scores 0."""
    try:
        return picker.queries([click.prompt], radius=radius)
    except SplatsegError:
        return None


def clicks_report(scores: Sequence[ObjectScore], query_radius: int, has_worst: bool) -> Evaluation:
    """The report of masks from clicks, and the worst of them.

    Args:
        has_worst: whether there are several clicks on an object, so that the report has `worst`:
            the figures of each object's click with the lowest mIoU.
    """
    report = masks_report(scores, has_worst) | {"query_radius": query_radius}
    return Evaluation(report, worst=worst_cases(scores))


def masks_report(scores: Sequence[ObjectScore], has_worst: bool = False) -> dict[str, Any]:
    """`miou`, `mbiou` and `biou2`, under `best` at each object's best threshold.

    Rows list their clicks.
    """
    report: dict[str, Any] = {
        **asdict(mean_scores(score.scores for score in scores)),
        "best": asdict(mean_scores(score.best for score in scores)),
    }
    if has_worst:
        report["worst"] = asdict(mean_scores(score.worst for score in scores))
    return report | {"objects": [_row(score) for score in scores]}


def _row(score: ObjectScore) -> dict[str, Any]:
    return {
        "id": score.object_id,
        "name": score.name,
        "views": score.views,
        **asdict(score.scores),
        "best": {"threshold": score.best_threshold, **asdict(score.best)},
        "clicks": [
            {
                "frame": one.click.frame,
                "x": one.click.x,
                "y": one.click.y,
                **asdict(one.scores),
            }
            for one in score.clicks
        ],
    }
