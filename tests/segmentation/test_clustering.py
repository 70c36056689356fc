"""Clusters of the trained scene, and the steps towards them on maps made by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.evaluation import hungarian_iou
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import render
from splatseg.render.labels import CHANNELS_AT_ONCE
from splatseg.scene import Scene
from splatseg.segmentation import FeatureMap, cluster_gaussians, render_labels
from splatseg.segmentation.clustering import (
    EDGE_SIMILARITIES,
    EDGE_STEP,
    MIN_REGION_PIXELS,
    find_prototypes,
    merge_similar,
    region_features,
    regions_between_edges,
    renumbered,
)
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.feature_maps import MIN_COVERAGE

MIN_CLUSTER_IOU = 0.9  # of a ball over all views; seeds 0 to 4 have 0.97 or more
ALIKE = 0.9  # cosine below which pixels of the maps made here lie on an edge
UNIT_TOLERANCE = 1e-5  # of float32 sums over some thousand pixels


def axis(number: int, channels: int = 4) -> torch.Tensor:
    return F.one_hot(torch.tensor(number), channels).float()


def map_of(labels: torch.Tensor, covered: torch.Tensor | None = None) -> FeatureMap:
    """A map whose pixel with label k shows the k-th unit vector."""
    features = F.one_hot(labels, 4).float()
    return FeatureMap(
        features, torch.ones_like(labels, dtype=torch.bool) if covered is None else covered
    )


@pytest.fixture(scope="module")
def labels(trained: Scene) -> torch.Tensor:
    training = [frame for frame in trained.frames if not frame.is_test]
    return cluster_gaussians(trained.gaussians, training)


def test_every_ball_is_a_cluster(trained: Scene, synthetic, labels: torch.Tensor) -> None:
    scored = [
        (render_labels(trained.gaussians, labels, frame).numpy(), synthetic.truth[frame.name])
        for frame in trained.frames
    ]
    predicted, truth = (np.concatenate([pair[i].ravel() for pair in scored]) for i in (0, 1))
    matches = hungarian_iou(predicted, truth)
    assert set(matches) == {1, 2, 3}
    assert min(match.iou for match in matches.values()) > MIN_CLUSTER_IOU


def test_clusters_are_numbered_by_size(labels: torch.Tensor) -> None:
    sizes = torch.bincount(labels.clamp_min(0))[1:]
    assert len(sizes) >= 3
    assert (sizes > 0).all()
    assert torch.equal(sizes, sizes.sort(descending=True).values)


def test_a_scene_without_features_has_no_clusters(trained: Scene) -> None:
    bare = dataclasses.replace(trained.gaussians, features=torch.zeros(len(trained.gaussians), 0))
    with pytest.raises(SplatsegError, match="no segmentation features"):
        cluster_gaussians(bare, trained.frames)


def test_two_halves_are_two_regions() -> None:
    halves = torch.zeros(20, 40, dtype=torch.long)
    halves[:, 20:] = 2
    found = regions_between_edges(map_of(halves), ALIKE)
    assert torch.allclose(found, torch.stack([axis(0), axis(2)]), atol=UNIT_TOLERANCE)


def test_regions_of_one_feature_that_do_not_touch_are_two() -> None:
    stripes = torch.zeros(20, 60, dtype=torch.long)
    stripes[:, 20:40] = 1
    found = regions_between_edges(map_of(stripes), ALIKE)
    assert found.argmax(dim=1).sort().values.tolist() == [0, 0, 1]


def test_small_regions_are_left_out() -> None:
    side = int((MIN_REGION_PIXELS - 1) ** 0.5)
    spot = torch.zeros(30, 30, dtype=torch.long)
    spot[10 : 10 + side, 10 : 10 + side] = 3
    assert regions_between_edges(map_of(spot), ALIKE).argmax(dim=1).tolist() == [0]


def test_what_is_not_covered_is_no_region() -> None:
    covered = torch.zeros(30, 30, dtype=torch.bool)
    assert regions_between_edges(
        map_of(torch.zeros(30, 30, dtype=torch.long), covered), ALIKE
    ).shape == (0, 4)
    covered[:, :12] = True
    found = regions_between_edges(map_of(torch.ones(30, 30, dtype=torch.long), covered), ALIKE)
    assert torch.allclose(found, axis(1)[None], atol=UNIT_TOLERANCE)


def test_a_soft_edge_is_an_edge() -> None:
    """A step of 60 degrees, blended over as many pixels as are compared."""
    angle = torch.zeros(20, 60)
    angle[:, 30:] = torch.pi / 3
    angle[:, 30 : 30 + EDGE_STEP] = torch.linspace(0, torch.pi / 3, EDGE_STEP + 2)[1:-1]
    features = torch.stack([angle.cos(), angle.sin()], dim=-1)
    found = regions_between_edges(FeatureMap(features, torch.ones(20, 60, dtype=torch.bool)), ALIKE)
    assert len(found) == 2


def test_a_slow_change_is_no_edge() -> None:
    angle = torch.linspace(0, torch.pi / 2, 90).repeat(20, 1)
    features = torch.stack([angle.cos(), angle.sin()], dim=-1)
    found = regions_between_edges(FeatureMap(features, torch.ones(20, 90, dtype=torch.bool)), ALIKE)
    middle = torch.tensor([[1.0, 1.0]]) / 2**0.5
    assert torch.allclose(found, middle, atol=1e-3)  # symmetric about 45 degrees


def test_regions_are_pooled_over_all_strictnesses() -> None:
    halves = torch.zeros(20, 40, dtype=torch.long)
    halves[:, 20:] = 1
    found = region_features(map_of(halves))
    once = regions_between_edges(map_of(halves), ALIKE)
    assert torch.allclose(found, once.repeat(len(EDGE_SIMILARITIES), 1), atol=UNIT_TOLERANCE)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 2)])
def test_tiny_maps_have_regions_too(shape: tuple[int, int]) -> None:
    found = regions_between_edges(map_of(torch.zeros(shape, dtype=torch.long)), ALIKE)
    assert found.shape == (1 if shape[0] * shape[1] >= MIN_REGION_PIXELS else 0, 4)


def around(centers: list[int], count: int, spread: float = 0.05) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    rows = [axis(c) + spread * torch.randn(count, 4, generator=random) for c in centers]
    return F.normalize(torch.cat(rows), dim=1)


def test_a_prototype_is_its_clusters_mean_direction() -> None:
    regions = around([0, 1, 3], 8)
    prototypes = find_prototypes(regions, views=8)
    assert prototypes.shape == (3, 4)
    expected = F.normalize(torch.stack([p.sum(dim=0) for p in regions.split(8)]), dim=1)
    order = prototypes.argmax(dim=1).argsort()
    assert torch.allclose(prototypes[order], expected, atol=UNIT_TOLERANCE)


def test_equal_regions_are_a_cluster_too() -> None:
    """Perfect features are no division by zero."""
    prototypes = find_prototypes(around([0, 2], 6, spread=0.0), views=6)
    assert sorted(prototypes.argmax(dim=1).tolist()) == [0, 2]


def test_prototypes_that_are_alike_are_merged() -> None:
    """Two at a cosine above THRESHOLD, and one far from both."""
    angle = math.acos((1 + THRESHOLD) / 2)
    near = math.cos(angle) * axis(0) + math.sin(angle) * axis(1)
    merged = merge_similar(torch.stack([axis(0), axis(2), near]))
    assert len(merged) == 2
    middle = F.normalize(axis(0) + near, dim=0)
    assert (merged @ middle).max().item() == pytest.approx(1, abs=UNIT_TOLERANCE)
    assert (merged @ axis(2)).max().item() == pytest.approx(1, abs=UNIT_TOLERANCE)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_prototypes_at_right_angles_stay(count: int) -> None:
    prototypes = torch.eye(4)[:count]
    merged = merge_similar(prototypes)
    assert merged.shape == prototypes.shape
    assert sorted(merged.argmax(dim=1).tolist()) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_regions_are_refused(count: int) -> None:
    with pytest.raises(SplatsegError, match=f"only {count} regions of one feature, too few"):
        find_prototypes(around([0], count), views=8)


def test_regions_without_a_cluster_are_refused() -> None:
    apart = F.normalize(torch.eye(16)[:6], dim=1)
    with pytest.raises(SplatsegError, match="the 6 regions of the views form no cluster of 4"):
        find_prototypes(apart, views=27)


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


@pytest.mark.parametrize("count", [1, CHANNELS_AT_ONCE - 1, CHANNELS_AT_ONCE, 40])
def test_rendered_labels_are_those_of_a_one_hot_image(trained: Scene, count: int) -> None:
    random = torch.Generator().manual_seed(count)
    ids = torch.randint(0, count + 1, (len(trained.gaussians),), generator=random)
    frame = trained.frames[3]
    with torch.no_grad():
        shown = render(trained.gaussians, frame.camera).alpha
        naive, best = torch.zeros(72, 96, dtype=torch.long), torch.zeros(72, 96)
        for label in range(count + 1):
            white = dataclasses.replace(trained.gaussians, sh=torch.zeros(len(ids), 1, 3))
            weight = one_channel(white, ids == label, frame.camera)
            naive = torch.where(weight > best, label, naive)
            best = torch.maximum(weight, best)
    naive[shown < MIN_COVERAGE] = 0
    assert torch.equal(render_labels(trained.gaussians, ids, frame), naive)


def one_channel(gaussians: Gaussians, inside: torch.Tensor, camera) -> torch.Tensor:
    """How much of each pixel some of the Gaussians make, from a gray image of them."""
    white = torch.zeros_like(gaussians.sh)
    white[:, 0] = torch.where(inside, 0.5, -0.5)[:, None] / 0.28209479177387814
    return render(dataclasses.replace(gaussians, sh=white), camera).image[..., 0]


def test_no_objects_render_as_nothing(trained: Scene) -> None:
    none = torch.zeros(len(trained.gaussians), dtype=torch.long)
    assert not render_labels(trained.gaussians, none, trained.frames[0]).any()
