"""What regions mean, on feature maps made by hand: two things side by side, and background."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.segmentation import BoxPrompt, FeatureMap, MaskPrompt, ScribblePrompt
from splatseg.segmentation.prompts import region_queries, things_in

AXES = torch.eye(16)
SIZE = (40, 60)  # rows, columns


@pytest.fixture
def frame(trained) -> Frame:
    """A frame whose photo is its working image."""
    first = trained.frames[0]
    assert first.lens.is_pinhole
    size = {"width": SIZE[1], "height": SIZE[0]}
    return replace(
        first, lens=first.lens.resized(**size), camera=first.camera.resized(**size), name="view"
    )


@pytest.fixture
def features() -> FeatureMap:
    """Thing 0 fills columns 10 to 29 of rows 10 to 29, thing 1 columns 30 to 39; 2 is around."""
    things = torch.full(SIZE, 2)
    things[10:30, 10:30] = 0
    things[10:30, 30:40] = 1
    covered = torch.ones(SIZE, dtype=torch.bool)
    covered[:5] = False
    return FeatureMap(F.normalize(AXES[things] + 0.01, dim=-1) * covered[..., None], covered)


def meant(queries: torch.Tensor) -> list[int]:
    return sorted(queries.argmax(dim=1).tolist())


@pytest.mark.parametrize(
    ("box", "thing"),
    [((10, 10, 30, 30), 0), ((30, 10, 40, 30), 1), ((8, 8, 33, 33), 0), ((0, 5, 60, 40), 2)],
)
def test_a_box_means_the_thing_that_fills_it(frame, features, box, thing) -> None:
    assert meant(region_queries(BoxPrompt("view", *map(float, box)), frame, features)) == [thing]


def test_a_mask_means_all_that_it_holds_and_no_thing_that_it_grazes(frame, features) -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:30, 10:42] = True  # both things, and a strip of what is around

    assert meant(region_queries(MaskPrompt("view", mask), frame, features)) == [0, 1]


def test_a_mask_of_a_piece_means_the_thing_it_is_a_piece_of(frame, features) -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[12:16, 12:16] = True

    assert meant(region_queries(MaskPrompt("view", mask), frame, features)) == [0]


def test_a_mask_of_another_size_shows_the_whole_photo(frame, features) -> None:
    mask = np.zeros((80, 120), dtype=bool)
    mask[20:60, 60:80] = True

    assert meant(region_queries(MaskPrompt("view", mask), frame, features)) == [1]


def test_a_scribble_means_what_it_runs_over(frame, features) -> None:
    over_both = ScribblePrompt("view", ((15.0, 20.0), (36.0, 20.0)))
    on_one = ScribblePrompt("view", ((33.0, 15.0), (36.0, 20.0), (33.0, 25.0)))

    assert meant(region_queries(over_both, frame, features)) == [0, 1]
    assert meant(region_queries(on_one, frame, features)) == [1]


@pytest.mark.parametrize(
    "region",
    [
        BoxPrompt("view", 0.0, 0.0, 60.0, 5.0),
        ScribblePrompt("view", ((1.0, 1.0), (50.0, 2.0))),
        MaskPrompt("view", np.zeros(SIZE, bool)),
    ],
    ids=lambda region: type(region).__name__.lower(),
)
def test_a_region_of_background_is_refused(frame, features, region) -> None:
    with pytest.raises(SplatsegError, match="covers nothing that was reconstructed"):
        region_queries(region, frame, features)


def test_a_box_within_a_pixel_is_that_pixel(frame, features) -> None:
    assert meant(region_queries(BoxPrompt("view", 31.2, 15.2, 31.4, 15.4), frame, features)) == [1]


def test_a_box_with_its_edges_swapped_is_refused(frame, features) -> None:
    with pytest.raises(SplatsegError, match="is empty; expected the left, upper"):
        region_queries(BoxPrompt("view", 30.0, 10.0, 10.0, 30.0), frame, features)


@pytest.mark.parametrize("counts", [(7,), (5, 3, 1), (1, 1), (4000, 1000)])
def test_things_come_by_their_share_of_the_pixels(counts: tuple[int, ...]) -> None:
    features = torch.cat([AXES[k].expand(count, 16) for k, count in enumerate(counts)])
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))

    things, shares = things_in(features[order])

    expected = torch.tensor(counts) / sum(counts)
    torch.testing.assert_close(shares, expected, atol=0.05, rtol=0)  # of 2,000 samples
    assert torch.equal(things, AXES[: len(counts)]) or counts == (1, 1)
