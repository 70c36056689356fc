"""What prompts mean, on feature maps made by hand: two instances side by side, and background."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splatseg.capture import Lens
from splatseg.errors import SplatsegError
from splatseg.segmentation import BoxPrompt, FeatureMap, MaskPrompt, ScribblePrompt
from splatseg.segmentation.grouping import group_similar
from splatseg.segmentation.prompts import _neighborhood, instances_in, region_queries
from splatseg.segmentation.views import ImagePlane

AXES = torch.eye(16)
SIZE = (40, 60)  # rows, columns


@pytest.fixture
def plane(trained) -> ImagePlane:
    """A view whose photo is its undistorted image."""
    first = trained.frames[0]
    assert first.lens.is_pinhole
    size = {"width": SIZE[1], "height": SIZE[0]}
    return ImagePlane("view", first.camera.resized(**size), first.lens.resized(**size))


@pytest.fixture
def features() -> FeatureMap:
    """Instance 0 fills columns 10 to 29 of rows 10 to 29, 1 columns 30 to 39; 2 is around."""
    things = torch.full(SIZE, 2)
    things[10:30, 10:30] = 0
    things[10:30, 30:40] = 1
    covered = torch.ones(SIZE, dtype=torch.bool)
    covered[:5] = False
    return FeatureMap(F.normalize(AXES[things] + 0.01, dim=-1) * covered[..., None], covered)


def box(*edges: float) -> BoxPrompt:
    return BoxPrompt("view", *map(float, edges))


def mask(place: tuple[slice, slice], size: tuple[int, int] = SIZE) -> MaskPrompt:
    pixels = np.zeros(size, dtype=bool)
    pixels[place] = True
    return MaskPrompt("view", pixels)


def scribble(*points: tuple[float, float]) -> ScribblePrompt:
    return ScribblePrompt("view", points)


@pytest.mark.parametrize(
    ("region", "meaning"),
    [
        (box(10, 10, 30, 30), [0]),
        (box(30, 10, 40, 30), [1]),
        (box(8, 8, 33, 33), [0]),
        (box(0, 5, 60, 40), [2]),
        (box(31.2, 15.2, 31.4, 15.4), [1]),  # within a pixel
        (mask(np.s_[10:30, 10:42]), [0, 1]),  # all that it holds, not what it grazes
        (mask(np.s_[12:16, 12:16]), [0]),  # a piece means the instance it is a piece of
        (mask(np.s_[20:60, 60:80], (80, 120)), [1]),  # of another size it shows the whole photo
        (scribble((15.0, 20.0), (36.0, 20.0)), [0, 1]),
        (scribble((33.0, 15.0), (36.0, 20.0), (33.0, 25.0)), [1]),
    ],
)
def test_a_region_means_what_it_holds(plane, features, region, meaning: list[int]) -> None:
    for view in (plane, replace(plane, lens=None)):  # a photo, and a camera's own pixels
        queries = region_queries(region, view, features)
        assert sorted(queries.argmax(dim=1).tolist()) == meaning


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        (box(0, 0, 60, 5), "covers nothing that was reconstructed"),
        (scribble((1.0, 1.0), (50.0, 2.0)), "covers nothing that was reconstructed"),
        (mask(np.s_[:0, :0]), "covers nothing that was reconstructed"),
        (box(30, 10, 10, 30), "is empty; expected the left, upper"),
    ],
)
def test_a_region_of_nothing_is_refused(plane, features, region, sentence: str) -> None:
    with pytest.raises(SplatsegError, match=sentence):
        region_queries(region, plane, features)


@pytest.mark.parametrize("counts", [(7,), (5, 3, 1), (1, 1), (4000, 1000)])
def test_instances_come_by_their_fraction_of_the_pixels(counts: tuple[int, ...]) -> None:
    features = torch.cat([AXES[k].expand(count, 16) for k, count in enumerate(counts)])
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    found, fractions = instances_in(features[order])
    expected = torch.tensor(counts) / sum(counts)
    torch.testing.assert_close(fractions, expected, atol=0.05, rtol=0)  # of 2,000 samples
    assert torch.equal(found, AXES[: len(counts)]) or counts == (1, 1)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_every_feature_is_in_one_group(threshold: float) -> None:
    """Even where rounding makes a feature's cosine with itself less than the threshold."""
    random = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    features = F.normalize(torch.cat([random, random[:5]]), dim=1)
    groups = group_similar(features, threshold)
    assert torch.equal(groups.sum(dim=0), torch.ones(45, dtype=torch.long))
    assert groups.sum(dim=1).tolist() == sorted(groups.sum(dim=1).tolist(), reverse=True)
    assert torch.equal(group_similar(features, threshold, most=2), groups[:2])
    assert group_similar(features[:0], threshold).shape == (0, 0)


@pytest.mark.parametrize(("x", "y"), [(60.0, 10.0), (10.0, 40.0), (-0.1, 10.0), (1e9, 1e9)])
def test_a_point_outside_is_refused(plane, x: float, y: float) -> None:
    with pytest.raises(SplatsegError, match="lies outside view, which is 60x40"):
        plane.undistorted_pixel(x, y)
    assert plane.undistorted_pixel(59.999, 39.999).tolist() == [59, 39]
    corner = _neighborhood(torch.tensor([0, 0], dtype=torch.int32), 1, plane.camera)
    assert corner.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_point_in_the_border_that_undistorting_removes_is_refused(plane) -> None:
    barrel, pincushion = (
        replace(plane, lens=Lens("SIMPLE_RADIAL", SIZE[1], SIZE[0], (60.0, 30.0, 20.0, k)))
        for k in (0.4, -0.6)
    )
    with pytest.raises(SplatsegError, match="in the border that undistorting the photo removes"):
        pincushion.undistorted_pixel(0.5, 0.5)
    values = barrel.distort(torch.ones(SIZE))
    assert values.shape == SIZE and values[20, 30] == 1
