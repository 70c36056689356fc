"""Running the protocols that click: masks in test views, and Gaussians."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_scores import Case, score_clicks, worst_cases
from splatseg.evaluation.clicks import Query, click3_queries, click_queries, random_queries
from splatseg.evaluation.protocols import ClickProtocol
from splatseg.evaluation.reports import clicks_report, selections_report
from splatseg.evaluation.selection import (
    LiftedTruth,
    score_selections,
    voted_labels,
)
from splatseg.evaluation.truth import Truth, load_boxes, load_truth
from splatseg.evaluation.views import frames_of, lens_at, photo_sizes
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import project
from splatseg.render.labels import backproject_labels, label_image
from splatseg.scene import Scene
from splatseg.segmentation import (
    Picker,
    PointPrompt,
)
from splatseg.segmentation.selection import SELECTED, Queries


def run_clicks(
    scene: Scene,
    root: Path,
    protocol: ClickProtocol,
    query_radius: int,
    on_worst: Callable[[Sequence[Case]], None],
) -> dict[str, Any]:
    """The report of masks in the test views; `on_worst` is told the worst of them."""
    test = {frame.name: frame for frame in frames_of(scene, is_test=True)}
    truth = load_truth(root, photo_sizes(test.values()))
    queries = _queries(scene, root, protocol, truth)
    picker = Picker(scene)
    features = {query: _feature(picker, query, query_radius) for query in queries}

    def predict(name: str, asked: Sequence[Query]) -> Iterator[Float[np.ndarray, "h w"] | None]:
        frame, shape = test[name], truth.maps[name].shape
        for query in asked:
            feature = features[query]
            if feature is None:
                yield None
            else:
                yield picker.similarity(feature, replace(frame, lens=lens_at(frame, shape)))

    scores = score_clicks(queries, truth, predict)
    on_worst(worst_cases(scores))
    return clicks_report(protocol, scores) | {"query_radius": query_radius}


def run_click3d(
    scene: Scene, root: Path, query_radius: int, by: Literal["votes", "features"] = "votes"
) -> dict[str, Any]:
    """The report of which Gaussians the clicks of `click` select: exactly, or as the paper does."""
    gaussians, training = scene.gaussians, frames_of(scene, is_test=False)
    sizes = photo_sizes(training)
    truth = load_truth(root, sizes)
    lifted = LiftedTruth(
        means=gaussians.means.cpu(),
        footprints=gaussians.footprints.cpu(),
        labels=lift_labels(gaussians, training, truth).cpu(),
        names=truth.names,
        boxes=load_boxes(root),
    )

    queries = click_queries(truth, sizes)
    picker = Picker(scene)
    features = {query: _feature(picker, query, query_radius) for query in queries}
    asked = {query: feature for query, feature in features.items() if feature is not None}
    if by == "votes":
        selected = (picker.exact_weights(list(asked.values())) >= SELECTED).cpu()
    else:
        own = [picker.select_by_own_features(queries) for queries in asked.values()]
        selected = torch.stack(own, dim=1).cpu()
    selections = dict(zip(asked, selected.unbind(dim=1), strict=True))
    nothing = torch.zeros(len(gaussians), dtype=torch.bool)
    scores = score_selections(queries, lifted, lambda query: selections.get(query, nothing))
    return selections_report(scores) | {"query_radius": query_radius}


def run_ceiling(scene: Scene, root: Path) -> dict[str, Any]:
    """The report of what the true labels, lifted onto the scene, give in the test views."""
    training = frames_of(scene, is_test=False)
    test = {frame.name: frame for frame in frames_of(scene, is_test=True)}
    truth = load_truth(root, photo_sizes(test.values()))
    known = load_truth(root, photo_sizes(training))
    labels = lift_labels(scene.gaussians, training, known).clamp_min(
        0
    )  # unseen ones are background

    def predict(name: str, asked: Sequence[Query]) -> Iterator[Bool[np.ndarray, "h w"]]:
        frame, shape = test[name], truth.maps[name].shape
        shown = label_image(project(scene.gaussians, frame.camera), labels).cpu().numpy()
        on_truth = lens_at(frame, shape).warp_to_photo(shown, nearest=True)
        for query in asked:
            yield on_truth == query.object_id

    queries = click_queries(known, photo_sizes(training))
    return clicks_report("ceiling", score_clicks(queries, truth, predict))


def lift_labels(gaussians: Gaussians, frames: Sequence[Frame], truth: Truth) -> Int[Tensor, " n"]:
    """The object of each Gaussian by the votes of those `frames` that have truth; see protocols.py.

    0 is the background, UNSEEN what none of them sees.
    """
    ids = torch.arange(max(truth.names) + 1, device=gaussians.means.device)
    votes = torch.zeros(len(gaussians), len(ids), device=gaussians.means.device)
    for frame in frames:
        if frame.name not in truth.maps:
            continue
        view = project(gaussians, frame.camera)
        labels = _undistorted_labels(frame, truth.maps[frame.name]).to(ids.device)
        votes += backproject_labels(view, labels, len(ids))
    return voted_labels(votes, ids)


def _undistorted_labels(
    frame: Frame, instance_map: Integer[np.ndarray, "h w"]
) -> Int[Tensor, "r c"]:
    """The map as the working camera sees it, -1 where the photo does not reach."""
    lens, camera = frame.lens, frame.camera
    labels = lens.warp_to_undistorted(instance_map.astype(np.int64), camera, nearest=True)
    reached = lens.warp_to_undistorted(np.ones(instance_map.shape, bool), camera, nearest=True)
    return torch.from_numpy(np.where(reached, labels, -1))


def _queries(scene: Scene, root: Path, protocol: ClickProtocol, truth: Truth) -> list[Query]:
    sizes = photo_sizes(frames_of(scene, is_test=False))
    if protocol == "click3":
        return click3_queries(root, truth.names, sizes)
    training = load_truth(root, sizes)
    ask = click_queries if protocol == "click" else random_queries
    return ask(training, sizes)


def _feature(picker: Picker, query: Query, radius: int) -> Queries | None:
    """The clicked feature; None where the click hits nothing, which scores 0."""
    click = PointPrompt(query.frame, query.x, query.y)
    try:
        return picker.queries([click], radius=radius)
    except SplatsegError:
        return None
