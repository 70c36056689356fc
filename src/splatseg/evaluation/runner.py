"""Running a protocol on a trained scene: where renderings meet the truth.

Photos, prompts and ground truth come from the capture; cameras and the split from the scene.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from splatseg.capture import Capture, Frame, Lens
from splatseg.errors import SplatsegError
from splatseg.evaluation.protocols import (
    Query,
    click3_queries,
    click_queries,
    score_clicks,
    score_clusters,
    score_nvs,
)
from splatseg.evaluation.reports import clicks_report, clusters_report, nvs_report
from splatseg.evaluation.truth import load_truth
from splatseg.render import project, render
from splatseg.scene import Scene
from splatseg.segmentation import (
    QUERY_RADIUS,
    Click,
    feature_map,
    on_photo,
    query_features,
    render_labels,
    similarity_map,
)

Protocol = Literal["nvs", "click", "click3", "clusters"]


def evaluate(
    scene: Scene, capture: Capture, protocol: Protocol, query_radius: int = QUERY_RADIUS
) -> dict[str, Any]:
    """The report of `protocol` (see protocols.py and reports.py) for `scene`.

    `query_radius` says how a click becomes a query: see `query_features`.
    """
    if protocol == "nvs":
        return nvs_report(score_nvs(_test_photos(scene, capture)))
    if protocol == "clusters":
        return _clusters(scene, capture.root)
    return _clicks(scene, capture.root, protocol, query_radius)


def _test_photos(scene: Scene, capture: Capture) -> Iterator[tuple[str, Tensor, Tensor]]:
    for frame in _frames(scene, is_test=True):
        photo = torch.from_numpy(capture.image(frame).astype(np.float32) / 255)
        with torch.no_grad():
            yield frame.name, render(scene.gaussians, frame.camera).image.cpu(), photo


def _clicks(
    scene: Scene, root: Path, protocol: Literal["click", "click3"], query_radius: int
) -> dict[str, Any]:
    train_sizes = _photo_sizes(_frames(scene, is_test=False))
    test = {frame.name: frame for frame in _frames(scene, is_test=True)}
    truth = load_truth(root, _photo_sizes(test.values()))
    if protocol == "click":
        queries = click_queries(load_truth(root, train_sizes), train_sizes)
    else:
        queries = click3_queries(root, truth.names, train_sizes)
    features = {query: _feature(scene, query, query_radius) for query in queries}

    def predict(name: str, asked: Sequence[Query]) -> Iterator[Float[np.ndarray, "h w"] | None]:
        frame, shape = test[name], truth.maps[name].shape
        rendered = feature_map(scene.gaussians, project(scene.gaussians, frame.camera))
        for query in asked:
            feature = features[query]
            if feature is None:
                yield None
            else:
                similarity = similarity_map(rendered, feature).cpu().numpy()
                yield on_photo(similarity, _lens_at(frame, shape))

    report = "click/1" if protocol == "click" else "click3/1"
    scores = score_clicks(queries, truth, predict)
    return clicks_report(report, scores) | {"query_radius": query_radius}


def _feature(scene: Scene, query: Query, radius: int) -> Float[Tensor, "1 f"] | None:
    """The clicked feature; None where the click hits nothing, which scores 0."""
    click = Click(query.frame, query.x, query.y)
    try:
        return query_features(scene.gaussians, scene.frames, [click], radius)
    except SplatsegError:
        if scene.gaussians.features.shape[1] == 0:
            raise
        return None


def _clusters(scene: Scene, root: Path) -> dict[str, Any]:
    labels = scene.labels
    if labels is None:
        raise SplatsegError(
            "the scene has no objects yet; run splatseg cluster on it before this protocol"
        )
    test = {frame.name: frame for frame in _frames(scene, is_test=True)}
    truth = load_truth(root, _photo_sizes(test.values()))

    def predict(name: str) -> Integer[np.ndarray, "h w"]:
        rendered = render_labels(scene.gaussians, labels, test[name]).cpu().numpy()
        lens = _lens_at(test[name], truth.maps[name].shape)
        return lens.warp_to_photo(rendered, nearest=True)

    return clusters_report(score_clusters(truth, predict), truth.names)


def _lens_at(frame: Frame, shape: tuple[int, ...]) -> Lens:
    """The frame's lens for photos of the ground truth's size."""
    height, width = shape
    return frame.lens.resized(width, height)


def _frames(scene: Scene, is_test: bool) -> list[Frame]:
    return [frame for frame in scene.frames if frame.is_test == is_test]


def _photo_sizes(frames: Iterable[Frame]) -> dict[str, tuple[int, int]]:
    return {frame.name: (frame.lens.width, frame.lens.height) for frame in frames}
