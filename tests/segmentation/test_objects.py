"""The object table on Gaussians whose figures are known."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders.plain_gaussians import plain_gaussians
from hypothesis import given
from hypothesis import strategies as st

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


def test_the_figures_of_two_objects() -> None:
    """Between them a far Gaussian of none; beside the second's row, one with colors to clip."""
    line = torch.linspace(0, 1, 101)
    first = torch.stack([line, 2 * line, torch.full_like(line, 3.0)], dim=1)
    second = torch.tensor([[5.0, 5.0, 5.0], [7.0, 5.0, 5.0], [9.0, 5.0, 5.0]])
    means = torch.cat([first, second, torch.tensor([[1e3, 0, 0], [0, 0, 1.0]])])
    red, green = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    colors = torch.tensor([red] * 101 + [green, red, green, green, [1.5, -0.5, 0.25]])
    opacities = torch.tensor([0.5] * 101 + [0.2, 0.6, 0.2, 0.9, 0.9])
    labels = torch.tensor([1] * 101 + [2] * 3 + [0, 7])
    one, two, three = object_table(plain_gaussians(means, colors, opacities), labels, SEEN)
    assert (one.id, one.gaussians, two.id, two.gaussians, three.id) == (1, 101, 2, 3, 7)
    assert one.center == pytest.approx((0.5, 1.0, 3.0))
    assert one.size == pytest.approx((0.96, 1.92, 0.0), abs=1e-4)  # 2 % to 98 %
    assert one.box.center == pytest.approx((0.5, 1.0, 3.0), abs=1e-3)
    assert one.box.size == pytest.approx((0.96 * 5**0.5, 0.0, 0.0), abs=0.01)  # along the line
    assert one.box_volume == pytest.approx(0.0, abs=1e-6)
    assert two.center == pytest.approx((7.0, 5.0, 5.0))
    colors = [one.color, two.color, three.color]  # weighted by opacity
    assert colors == [(255, 0, 0), (round(0.6 * 255), round(0.4 * 255), 0), (255, 0, 64)]


def test_a_row_is_json() -> None:
    gaussians = plain_gaussians(torch.zeros(1, 3), torch.zeros(1, 3))
    (row,) = object_table(gaussians, torch.tensor([1]), SEEN, {1: 4})
    where = {"center": [0.0] * 3, "size": [0.0] * 3}
    figures = {"id": 1, "kind": "object", "gaussians": 1, "views": 9, "parent": 4}
    figures |= {"box": where | {"rotation": [1.0, 0.0, 0.0, 0.0]}, "box_volume": 0.0}
    assert json.loads(json.dumps(row.to_json())) == figures | where | {"color": [0, 0, 0]}
    assert object_table(gaussians, torch.tensor([0]), SEEN) == []


def test_what_views_show_of_things(trained: Scene) -> None:
    """Counted again, from the label images."""
    frames = trained.train
    labels = cluster_gaussians(trained.gaussians, frames)
    seen = visibility_statistics(trained.gaussians, labels, frames)
    images = {f.name: render_labels(trained.gaussians, labels, f).numpy() for f in frames}
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    assert set(seen) == set(range(1, int(labels.max()) + 1))
    for thing, sighting in seen.items():
        sizes = {name: int((image == thing).sum()) for name, image in images.items()}
        shown = {name: size for name, size in sizes.items() if size >= MIN_SHOWN}
        whole = [name for name in shown if (images[name][inner] == thing).sum() == sizes[name]]
        is_object = len(whole) > MIN_CUT * len(shown) and len(shown) >= MIN_VIEWS * len(frames)
        assert sighting.views == len(shown)
        assert sighting.kind == ("object" if is_object else "background")
        assert sizes[sighting.best] == max(sizes[name] for name in whole or shown)
    assert {sighting.kind for sighting in seen.values()} == {"object", "background"}


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


def test_parts_are_what_lies_in_a_thing_and_is_not_all_of_it() -> None:
    wholes = torch.tensor([1] * 10 + [2] * 5 + [0] * 3)
    parts = torch.tensor([1] * 4 + [2] * 6 + [3] * 5 + [4] * 3)
    parts[3] = -1
    kept, parents = parts_within(parts, wholes)
    assert parents == {1: 1, 2: 1}  # 3 is all of its thing, 4 is in none
    assert kept.tolist() == [1] * 3 + [0] + [2] * 6 + [0] * 8
