"""Clusters of the trained scene, and the steps towards them on maps made by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.evaluation import hungarian_iou
from splatseg.render import project, rasterize
from splatseg.render.labels import CHANNELS_AT_ONCE
from splatseg.scene import Scene
from splatseg.segmentation import FeatureMap, cluster_gaussians, render_labels
from splatseg.segmentation.clustering import (
    EDGE_STEP,
    MIN_REGION_PIXELS,
    find_prototypes,
    merge_similar,
    regions_between_edges,
    renumbered,
)
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.feature_maps import MIN_COVERAGE

MIN_CLUSTER_IOU = 0.9  # of a ball over all views; seeds 0 to 4 have 0.97 or more
ALIKE = 0.9  # cosine below which pixels of the maps made here lie on an edge
UNIT_TOLERANCE = 1e-5  # of float32 sums over some thousand pixels


def stripes(*spans: tuple[int, int], rows: int = 20) -> torch.Tensor:
    """A map of columns, from (label, width) of each; -1 is not covered."""
    row = torch.cat([torch.full((width,), label) for label, width in spans])
    return row.expand(rows, -1)


def map_of(labels: torch.Tensor) -> FeatureMap:
    """A map whose pixel with label k shows the k-th unit vector."""
    return FeatureMap(F.one_hot(labels.clamp_min(0), 4).float(), labels >= 0)


def spot(side: int) -> torch.Tensor:
    """A square of label 3 on label 0."""
    labels = torch.zeros(30, 30, dtype=torch.long)
    labels[10 : 10 + side, 10 : 10 + side] = 3
    return labels


def test_every_ball_is_a_cluster_and_the_largest_is_the_first(trained: Scene, synthetic) -> None:
    labels = cluster_gaussians(trained.gaussians, trained.train)
    sizes = torch.bincount(labels.clamp_min(0))[1:]
    assert (sizes > 0).all() and torch.equal(sizes, sizes.sort(descending=True).values)
    scored = [
        (render_labels(trained.gaussians, labels, frame).numpy(), synthetic.truth[frame.name])
        for frame in trained.frames
    ]
    predicted, truth = (np.concatenate([pair[i].ravel() for pair in scored]) for i in (0, 1))
    matches = hungarian_iou(predicted, truth)
    assert set(matches) == {1, 2, 3}
    assert min(match.iou for match in matches.values()) > MIN_CLUSTER_IOU


@pytest.mark.parametrize(
    ("labels", "regions"),
    [
        (stripes((0, 20), (2, 20)), [0, 2]),
        (stripes((0, 20), (1, 20), (0, 20)), [0, 0, 1]),  # of one feature, but they do not touch
        (spot(int((MIN_REGION_PIXELS - 1) ** 0.5)), [0]),  # too small
        (stripes((-1, 30)), []),
        (stripes((1, 12), (-1, 18)), [1]),
        (stripes((0, 1), rows=1), []),
        (stripes((0, 50), rows=1), [0] * (MIN_REGION_PIXELS <= 50)),
        (stripes((0, 2), rows=50), [0] * (MIN_REGION_PIXELS <= 100)),
    ],
)
def test_regions_lie_between_edges(labels: torch.Tensor, regions: list[int]) -> None:
    found = regions_between_edges(map_of(labels), ALIKE)
    order = found.argmax(dim=1).argsort()
    assert torch.allclose(found[order], torch.eye(4)[regions], atol=UNIT_TOLERANCE)


def soft_step() -> torch.Tensor:
    """Of 60 degrees, blended over as many pixels as are compared."""
    blend = torch.linspace(0, 60, EDGE_STEP + 2)[1:-1]
    return torch.cat([torch.zeros(30), blend, torch.full((30 - EDGE_STEP,), 60.0)])


@pytest.mark.parametrize(
    ("degrees", "regions"), [(soft_step(), 2), (torch.linspace(0, 90, 90), 1)], ids=["soft", "slow"]
)
def test_a_soft_edge_is_an_edge_and_a_slow_change_is_none(degrees, regions: int) -> None:
    angle = degrees.deg2rad().repeat(20, 1)
    features = torch.stack([angle.cos(), angle.sin()], dim=-1)
    found = regions_between_edges(FeatureMap(features, torch.ones_like(angle) > 0), ALIKE)
    assert len(found) == regions
    if regions == 1:
        assert torch.allclose(found, torch.full((1, 2), 0.5**0.5), atol=1e-3)  # symmetric about 45


def around(centers: list[int], count: int, spread: float = 0.05) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    rows = torch.eye(4)[centers].repeat_interleave(count, dim=0)
    return F.normalize(rows + spread * torch.randn(len(rows), 4, generator=random), dim=1)


@pytest.mark.parametrize("spread", [0.05, 0.0])  # perfect features are no division by zero
def test_a_prototype_is_its_clusters_mean_direction(spread: float) -> None:
    regions = around([0, 1, 3], 8, spread)
    prototypes = find_prototypes(regions, views=8)
    expected = F.normalize(torch.stack([p.sum(dim=0) for p in regions.split(8)]), dim=1)
    order = prototypes.argmax(dim=1).argsort()
    assert torch.allclose(prototypes[order], expected, atol=UNIT_TOLERANCE)


@pytest.mark.parametrize("others", [0, 1, 3])
def test_prototypes_that_are_alike_are_merged_and_others_stay(others: int) -> None:
    """Two at a cosine above THRESHOLD, and some at right angles to all."""
    apart = torch.eye(5)[2 : 2 + others]
    angle = math.acos((1 + THRESHOLD) / 2)
    pair = torch.tensor([[1.0, 0, 0, 0, 0], [math.cos(angle), math.sin(angle), 0, 0, 0]])
    middle = F.normalize(pair.sum(dim=0, keepdim=True), dim=1)
    merged = merge_similar(torch.cat([pair[:1], apart, pair[1:]]))
    assert len(merged) == 1 + others
    best = (torch.cat([middle, apart]) @ merged.T).amax(dim=1)
    assert torch.allclose(best, torch.ones(1 + others), atol=UNIT_TOLERANCE)
    assert len(merge_similar(apart)) == others


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        *((around([0], k), f"only {k} regions of one feature, too few") for k in (0, 1, 2)),
        (torch.eye(16)[:6], "the 6 regions of the views form no cluster of 4"),
    ],
)
def test_regions_that_form_no_cluster_are_refused(regions: torch.Tensor, sentence: str) -> None:
    with pytest.raises(SplatsegError, match=sentence):
        find_prototypes(regions, views=27)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30))
def test_renumbering_orders_by_size_and_keeps_the_parts(values: list[int]) -> None:
    new = renumbered(torch.tensor(values, dtype=torch.long)).tolist()
    pairs = set(zip(values, new, strict=True))
    assert len(pairs) == len(set(values)) == len(set(new))  # one to one
    assert all(old == now for old, now in pairs if old <= 0 or now <= 0)
    ids = sorted(set(new) - {0, -1})
    assert ids == list(range(1, len(ids) + 1))
    sizes = [new.count(i) for i in ids]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("count", [0, CHANNELS_AT_ONCE - 1, CHANNELS_AT_ONCE, 40])
def test_rendered_labels_are_those_of_a_one_hot_image(trained: Scene, count: int) -> None:
    random = torch.Generator().manual_seed(count)
    ids = torch.randint(0, count + 1, (len(trained.gaussians),), generator=random)
    view = project(trained.gaussians, trained.frames[3].camera)
    weights = [rasterize(view, (ids == k).float()[:, None]).image for k in range(count + 1)]
    naive = torch.cat(weights, dim=-1).argmax(dim=-1)
    naive[sum(weights)[..., 0] < MIN_COVERAGE] = 0
    assert torch.equal(render_labels(trained.gaussians, ids, trained.frames[3]), naive)
