"""Running a protocol on a trained scene: where renderings meet the truth.

Photos, prompts and ground truth come from the capture; cameras and the split from the scene. Here
are the protocols of photos and labels; run_clicks.py and run_text.py have the others.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_scores import Case
from splatseg.evaluation.panoptic import score_clusters, score_objects
from splatseg.evaluation.photos import score_nvs
from splatseg.evaluation.protocols import LabelProtocol, Protocol
from splatseg.evaluation.reports import clusters_report, nvs_report, objects_report
from splatseg.evaluation.run_clicks import run_ceiling, run_click3d, run_clicks
from splatseg.evaluation.run_text import OnGrounded, run_text
from splatseg.evaluation.truth import load_truth, load_void
from splatseg.evaluation.views import frames_of, lens_at, photo_sizes
from splatseg.render import render
from splatseg.scene import Scene
from splatseg.segmentation import QUERY_RADIUS, render_labels
from splatseg.text import Grounder

__all__ = ["Protocol", "evaluate"]


def evaluate(
    scene: Scene,
    capture: Capture,
    protocol: Protocol,
    query_radius: int = QUERY_RADIUS,
    *,
    truth: Path | None = None,
    grounder: Grounder | None = None,
    on_worst: Callable[[Sequence[Case]], None] = lambda cases: None,
    on_grounded: OnGrounded = lambda image, grounded: None,
) -> dict[str, Any]:
    """The report of `protocol` (see protocols.py and reports.py) for `scene`.

    Args:
        query_radius: how a click becomes a query: see `query_features`.
        truth: of the prompts, where it is not in the capture; see prompt_truth.py.
        grounder: what finds the prompts in the reference view, for the protocols with prompts.
        on_worst: told the worst masks of a protocol that has masks from clicks.
        on_grounded: told what a grounder found.
    """
    if protocol == "text" or protocol == "3d-ovs":
        if grounder is None:
            raise SplatsegError(
                f"the protocol {protocol} needs what finds its prompts in the first view that has "
                "truth: `detector` MODEL, `boxes` FILE, or `grounding` FOLDER with masks "
                "<prompt>.png"
            )
        return run_text(scene, capture.root, protocol, truth, grounder, on_grounded)
    if truth is not None or grounder is not None:
        raise SplatsegError(
            "`truth` and what finds prompts (`detector`, `boxes`, `grounding`) are for the "
            "protocols text and 3d-ovs",
            remedy=f"the truth for {protocol} is in the capture",
        )
    if protocol == "nvs":
        return nvs_report(score_nvs(_test_photos(scene, capture)))
    if protocol == "clusters" or protocol == "objects":
        return _labels(scene, capture.root, protocol)
    if protocol == "click3d":
        return run_click3d(scene, capture.root, query_radius)
    if protocol == "ceiling":
        return run_ceiling(scene, capture.root)
    return run_clicks(scene, capture.root, protocol, query_radius, on_worst)


def _test_photos(scene: Scene, capture: Capture) -> Iterator[tuple[str, Tensor, Tensor]]:
    for frame in frames_of(scene, is_test=True):
        photo = torch.from_numpy(capture.image(frame).astype(np.float32) / 255)
        with torch.no_grad():
            yield frame.name, render(scene.gaussians, frame.camera).image.cpu(), photo


def _labels(scene: Scene, root: Path, protocol: LabelProtocol) -> dict[str, Any]:
    labels = scene.labels
    if labels is None:
        raise SplatsegError(
            "the scene has no objects yet",
            remedy="run splatseg cluster on it before this protocol",
        )
    test = {frame.name: frame for frame in frames_of(scene, is_test=True)}
    truth = load_truth(root, photo_sizes(test.values()))

    def predict(name: str) -> Integer[np.ndarray, "h w"]:
        rendered = render_labels(scene.gaussians, labels, test[name]).cpu().numpy()
        lens = lens_at(test[name], truth.maps[name].shape)
        return lens.warp_to_photo(rendered, nearest=True)

    if protocol == "clusters":
        return clusters_report(score_clusters(truth, predict), truth.names)
    return objects_report(score_objects(truth, load_void(root, truth), predict))
