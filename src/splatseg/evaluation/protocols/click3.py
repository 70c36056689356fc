"""`click3/1`: masks from the three clicks per object that `prompts.json` lists.

The figures are means over the clicks; `worst` has those of each object's click with the lowest
mIoU. Masks are scored as click_masks.py says. The file lists
[{"id", "clicks": [{"view", "x", "y"}]}]; x and y count whole pixels from 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_masks import clicks_report, measure_clicks
from splatseg.evaluation.clicks import Click, Sizes
from splatseg.evaluation.metrics import MASK_FIGURES
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.evaluation.truth import load_names
from splatseg.evaluation.views import photo_sizes
from splatseg.files import read_json
from splatseg.progress import Progress
from splatseg.scene import Scene

CLICKS_PER_OBJECT = 3


def listed_clicks(root: Path, names: Mapping[int, str], photo_sizes: Sizes) -> list[Click]:
    """The clicks that `prompts.json` of the capture in `root` lists.

    Args:
        names: of the capture's objects, by id.
        photo_sizes: those of the training views.

    Raises:
        SplatsegError: there is no such file, or it does not click three times on each object, in
            training views, inside their photos.
    """
    path = root / "prompts.json"
    clicks = _parse(path, read_json(path, "the clicks of a capture with ground truth"))
    for object_id, name in names.items():
        n_clicks = sum(click.object_id == object_id for click in clicks)
        if n_clicks != CLICKS_PER_OBJECT:
            raise SplatsegError(
                f"{path} has {n_clicks} clicks for object {object_id} ({name})",
                expected=f"{CLICKS_PER_OBJECT}",
            )
    for click in clicks:
        if click.object_id not in names:
            raise SplatsegError(
                f"{path} clicks on object {click.object_id}, which objects.json does not name"
            )
        if click.frame not in photo_sizes:
            raise SplatsegError(
                f"{path} clicks in {click.frame}, which is not a training view of the capture"
            )
        width, height = photo_sizes[click.frame]
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise SplatsegError(
                f"{path} clicks at {click.x:g},{click.y:g} in {click.frame}, whose photo is "
                f"{width}x{height}"
            )
    return clicks


def _parse(path: Path, data: Any) -> list[Click]:
    try:
        return [
            Click(
                object_id=int(prompt["id"]),
                frame=str(click["view"]),
                x=int(click["x"]) + 0.5,
                y=int(click["y"]) + 0.5,
            )
            for prompt in data
            for click in prompt["clicks"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SplatsegError(
            f"{path} does not list clicks",
            expected='[{"id": 1, "clicks": [{"view": "frame", "x": 0, "y": 0}]}]',
        ) from error


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    clicks = listed_clicks(capture.root, load_names(capture.root), photo_sizes(scene.train))
    scores = measure_clicks(scene, capture, clicks, options.query_radius, progress)
    return clicks_report(scores, options.query_radius, has_worst=True)


PROTOCOL = Protocol(
    name="click3",
    version=1,
    needs=frozenset({"instances", "clicks", "features"}),
    headlines=MASK_FIGURES,
    measure=_measure,
)
