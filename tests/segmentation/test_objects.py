"""The object table on Gaussians whose figures are known."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splatseg.geometry import SH_DC, Gaussians
from splatseg.scene import Scene
from splatseg.segmentation import cluster_gaussians, render_labels
from splatseg.segmentation.objects import (
    BORDER,
    MIN_CUT,
    MIN_SHOWN,
    MIN_VIEWS,
    VisibilityStatistics,
    object_table,
    parts_within,
    visibility_statistics,
    with_earlier_ids,
)

SEEN = defaultdict(lambda: VisibilityStatistics(views=9, kind="object", best="view_0"))


def gaussians_at(means: torch.Tensor, colors: torch.Tensor, opacities: torch.Tensor) -> Gaussians:
    count = len(means)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.zeros(count, 3),
        logit_opacities=opacities.logit(),
        sh=((colors - 0.5) / SH_DC)[:, None],
        features=torch.zeros(count, 16),
    )


def test_the_figures_of_two_objects() -> None:
    line = torch.linspace(0, 1, 101)
    first = torch.stack([line, 2 * line, torch.full_like(line, 3.0)], dim=1)
    second = torch.tensor([[5.0, 5.0, 5.0], [7.0, 5.0, 5.0], [9.0, 5.0, 5.0]])
    red, green = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    colors = torch.cat([red.repeat(101, 1), green[None], red[None], green[None]])
    opacities = torch.cat([torch.full((101,), 0.5), torch.tensor([0.2, 0.6, 0.2])])
    gaussians = gaussians_at(torch.cat([first, second]), colors, opacities)
    labels = torch.cat([torch.full((101,), 1), torch.full((3,), 2)])

    one, two = object_table(gaussians, labels, SEEN)
    assert (one.id, one.gaussians) == (1, 101)
    assert one.center == pytest.approx((0.5, 1.0, 3.0))
    assert one.size == pytest.approx((0.96, 1.92, 0.0), abs=1e-4)  # 2 % to 98 %
    assert one.box.center == pytest.approx((0.5, 1.0, 3.0), abs=1e-3)
    assert one.box.size == pytest.approx((0.96 * 5**0.5, 0.0, 0.0), abs=0.01)  # along the line
    assert one.box_volume == pytest.approx(0.0, abs=1e-6)
    assert one.color == (255, 0, 0)
    assert (two.id, two.gaussians) == (2, 3)
    assert two.center == pytest.approx((7.0, 5.0, 5.0))
    assert two.color == (round(0.6 * 255), round(0.4 * 255), 0)  # weighted by opacity


def test_an_outlier_does_not_stretch_the_box() -> None:
    means = torch.zeros(200, 3)
    means[0] = 1000.0
    colors, opacities = torch.full((200, 3), 0.5), torch.full((200,), 0.9)
    gaussians = gaussians_at(means, colors, opacities)
    (row,) = object_table(gaussians, torch.ones(200, dtype=torch.long), SEEN)
    assert row.size == (0.0, 0.0, 0.0)
    assert row.center == (0.0, 0.0, 0.0)


def test_colors_out_of_range_are_clipped() -> None:
    colors = torch.tensor([[1.5, -0.5, 0.25]])
    gaussians = gaussians_at(torch.zeros(1, 3), colors, torch.tensor([0.5]))
    (row,) = object_table(gaussians, torch.tensor([7]), SEEN)
    assert row.id == 7
    assert row.color == (255, 0, 64)


def test_label_0_is_no_object_and_no_labels_no_table() -> None:
    gaussians = gaussians_at(torch.zeros(4, 3), torch.zeros(4, 3), torch.full((4,), 0.5))
    assert object_table(gaussians, torch.zeros(4, dtype=torch.long), SEEN) == []
    rows = object_table(gaussians, torch.tensor([0, 5, 0, 2]), SEEN)
    assert [row.id for row in rows] == [2, 5]


def test_a_row_is_json() -> None:
    gaussians = gaussians_at(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0.5]))
    (row,) = object_table(gaussians, torch.tensor([1]), SEEN, {1: 4})
    assert json.loads(json.dumps(row.to_json())) == {
        "id": 1,
        "kind": "object",
        "gaussians": 1,
        "views": 9,
        "center": [0.0, 0.0, 0.0],
        "size": [0.0, 0.0, 0.0],
        "box": {"center": [0.0] * 3, "size": [0.0] * 3, "rotation": [1.0, 0.0, 0.0, 0.0]},
        "box_volume": 0.0,
        "color": [0, 0, 0],
        "parent": 4,
    }


def test_what_views_show_of_things(trained: Scene) -> None:
    """Counted again, from the label images."""
    frames = [frame for frame in trained.frames if not frame.is_test]
    labels = cluster_gaussians(trained.gaussians, frames)

    seen = visibility_statistics(trained.gaussians, labels, frames)

    images = {f.name: render_labels(trained.gaussians, labels, f).numpy() for f in frames}
    assert set(seen) == set(range(1, int(labels.max()) + 1))
    for thing, sighting in seen.items():
        sizes = {name: int((image == thing).sum()) for name, image in images.items()}
        shown = {name: size for name, size in sizes.items() if size >= MIN_SHOWN}
        whole = [name for name in shown if not touches_border(images[name] == thing)]
        is_object = len(whole) > MIN_CUT * len(shown) and len(shown) >= MIN_VIEWS * len(frames)
        assert sighting.views == len(shown)
        assert sighting.kind == ("object" if is_object else "background")
        assert sighting.best is not None
        assert sizes[sighting.best] == max(sizes[name] for name in whole or shown)
    assert {sighting.kind for sighting in seen.values()} == {"object", "background"}


def touches_border(mask: np.ndarray) -> bool:
    return bool(mask.sum() > mask[BORDER:-BORDER, BORDER:-BORDER].sum())


def test_what_most_views_cut_is_background_and_so_is_what_few_show(trained: Scene) -> None:
    """A wall of Gaussians behind everything, and a thing that one view shows."""
    frames = trained.frames
    labels = torch.ones(len(trained.gaussians), dtype=torch.long)
    zoomed = [
        replace(frame, camera=replace(frame.camera, fx=6 * frame.camera.fx, fy=6 * frame.camera.fy))
        for frame in frames
    ]
    assert visibility_statistics(trained.gaussians, labels, zoomed)[1].kind == "background"
    nothing = visibility_statistics(trained.gaussians, 2 * labels, frames)[1]
    assert (nothing.kind, nothing.views, nothing.best) == ("background", 0, None)


@given(st.permutations([1, 2, 3, 4]), st.integers(0, 2**16))
def test_things_keep_their_ids(order: list[int], seed: int) -> None:
    """Numbered otherwise and changed a little, each thing is known again; a new one is new."""
    random = np.random.default_rng(seed)
    before = torch.from_numpy(random.permutation(np.repeat([0, -1, 1, 2, 3, 4], 30)))
    renamed = torch.tensor([0, *order])[before.clamp_min(0)]
    changed = torch.where(before > 0, renamed, before)
    changed[torch.from_numpy(random.choice(180, 20, replace=False))] = 5

    after = with_earlier_ids(changed, before)

    kept = (changed > 0) & (changed < 5) & (before > 0)
    assert torch.equal(after[kept], before[kept])
    assert torch.unique(after[changed == 5]).tolist() == [5]
    assert torch.equal(after[changed <= 0], changed[changed <= 0])


def test_a_thing_that_fell_apart_keeps_its_id_for_the_larger_half() -> None:
    before = torch.ones(10, dtype=torch.long)
    after = with_earlier_ids(torch.tensor([2] * 6 + [1] * 4), before)
    assert after.tolist() == [1] * 6 + [2] * 4


def test_parts_are_what_lies_in_a_thing_and_is_not_all_of_it() -> None:
    wholes = torch.tensor([1] * 10 + [2] * 5 + [0] * 3)
    parts = torch.tensor([1] * 4 + [2] * 6 + [3] * 5 + [4] * 3)
    parts[3] = -1

    kept, parents = parts_within(parts, wholes)

    assert parents == {1: 1, 2: 1}  # 3 is all of its thing, 4 is in none
    assert kept.tolist() == [1] * 3 + [0] + [2] * 6 + [0] * 8
