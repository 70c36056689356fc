"""Selections: combined, grown, and on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from splatseg.errors import SplatsegError
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.segmentation import (
    Selection,
    combine,
    grow,
    load_selection,
    save_selection,
)
from splatseg.segmentation.selection import Queries, fingerprint, level_checksum, weights_margin
from splatseg.tensor_files import read_tensors

WEIGHTS = st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5)


def selection_of(scene: Scene, weights: torch.Tensor | None = None) -> Selection:
    gaussians = scene.gaussians
    if weights is None:
        weights = (gaussians.means[:, 0] > gaussians.means[:, 0].median()).float()
    return Selection(weights, fingerprint(gaussians), ("half of it",))


def prompted(scene: Scene) -> Selection:
    features = scene.gaussians.features
    unit = torch.nn.functional.normalize(features[:2], dim=1)
    queries = Queries("whole", unit[:1], unit[1:], 0.65, level_checksum(scene, "whole") or "")
    return replace(selection_of(scene), queries=queries)


def toy(weights: list[float]) -> Selection:
    return Selection(torch.tensor(weights), "toy", (f"weights {weights}",))


@given(WEIGHTS, WEIGHTS)
def test_combining_is_that_of_fuzzy_sets(first: list[float], second: list[float]) -> None:
    a, b = toy(first), toy(second)
    everything = toy([1.0] * 5)
    add, both = combine(a, b, "add").weights, combine(a, b, "intersect").weights

    assert torch.equal(add, combine(b, a, "add").weights)
    assert torch.equal(both, combine(b, a, "intersect").weights)
    assert bool((both <= a.weights).all()) and bool((a.weights <= add).all())
    # De Morgan: a without b is what a shares with all but b.
    rest = combine(everything, b, "subtract")
    assert torch.equal(combine(a, b, "subtract").weights, combine(a, rest, "intersect").weights)


def test_a_combination_tells_how_it_came_about() -> None:
    made = combine(toy([1.0]), toy([0.5]), "subtract").made
    assert made == ("weights [1.0]", "subtract (weights [0.5])")


def test_what_is_combined_is_its_weights_alone(trained: Scene) -> None:
    assert combine(prompted(trained), selection_of(trained), "add").queries is None
    assert grow(prompted(trained), trained.gaussians, 1).queries is None
    assert grow(prompted(trained), trained.gaussians, 0).queries is not None


@pytest.mark.parametrize("steps", [1, 2])
def test_growing_adds_neighbors_and_shrinking_takes_them_away(trained: Scene, steps: int) -> None:
    gaussians = trained.gaussians
    half = selection_of(trained)
    larger, smaller = (grow(half, gaussians, k) for k in (steps, -steps))

    assert bool((larger.selected | ~half.selected).all())
    assert bool((half.selected | ~smaller.selected).all())
    assert larger.selected.sum() > half.selected.sum() > smaller.selected.sum()
    everything_else = replace(half, weights=1 - half.weights)
    assert torch.equal(grow(everything_else, gaussians, steps).selected, ~smaller.selected)


def test_nothing_grows_to_nothing(trained: Scene) -> None:
    nothing = selection_of(trained, torch.zeros(len(trained.gaussians)))
    assert grow(nothing, trained.gaussians, 3) is nothing


def test_a_line_grows_by_its_nearest(trained: Scene) -> None:
    """Twelve Gaussians: each has all but the farthest among its ten nearest."""
    line = trained.gaussians.select(torch.arange(12))
    means = torch.zeros(12, 3)
    means[:, 0] = torch.arange(12)
    line = replace(line, means=means)
    first = Selection(torch.eye(12)[0], fingerprint(line), ("the first",))

    assert grow(first, line, 1).selected.tolist() == [True] * 6 + [False] * 6


def test_weights_show_where_they_have_half_of_what_covers_a_pixel(trained: Scene) -> None:
    gaussians = trained.gaussians
    view = project(gaussians, trained.frames[0].camera)
    everything = weights_margin(gaussians, view, torch.ones(len(gaussians)))
    nothing = weights_margin(gaussians, view, torch.zeros(len(gaussians)))
    some = torch.rand(len(gaussians), generator=torch.Generator().manual_seed(1))
    inside = weights_margin(gaussians, view, some)
    outside = weights_margin(gaussians, view, 1 - some)

    covered = everything > -1
    torch.testing.assert_close(everything[covered], torch.full_like(everything[covered], 0.5))
    torch.testing.assert_close(nothing[covered], torch.full_like(nothing[covered], -0.5))
    torch.testing.assert_close(inside[covered], -outside[covered], atol=1e-5, rtol=0)
    assert bool((inside[~covered] == -1).all())


def test_a_saved_selection_is_loaded_as_it_was(trained: Scene, tmp_path: Path) -> None:
    path = tmp_path / "selection.safetensors"
    for selection in (prompted(trained), selection_of(trained)):
        save_selection(path, selection)
        found = load_selection(path, trained)

        assert torch.equal(found.weights, selection.weights)
        assert (found.scene, found.made) == (selection.scene, selection.made)
        assert (found.queries is None) == (selection.queries is None)
        if found.queries and selection.queries:
            assert torch.equal(found.queries.positive, selection.queries.positive)
            assert torch.equal(found.queries.negative, selection.queries.negative)
            assert found.queries.threshold == 0.65


def test_of_features_trained_anew_the_weights_remain(trained: Scene, tmp_path: Path) -> None:
    path = tmp_path / "selection.safetensors"
    save_selection(path, prompted(trained))
    changed = replace(trained.gaussians, features=-trained.gaussians.features)

    found = load_selection(path, replace(trained, gaussians=changed))

    assert found.queries is None
    assert torch.equal(found.weights, prompted(trained).weights)


def test_a_selection_of_another_scene_is_refused(trained: Scene, tmp_path: Path) -> None:
    path = tmp_path / "selection.safetensors"
    save_selection(path, prompted(trained))
    moved = replace(trained.gaussians, means=trained.gaussians.means + 1)

    with pytest.raises(SplatsegError, match="is of another scene"):
        load_selection(path, replace(trained, gaussians=moved))
    with pytest.raises(SplatsegError, match="is of another scene"):
        combine(toy([1.0]), prompted(trained), "add")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "other/3"}, "its schema is other/3"),
        ({"made": "not JSON"}, "Expecting value"),
        ({"level": "crumb"}, "its level is crumb"),
        ({"threshold": "high"}, "could not convert"),
        ({"scene": None}, "scene"),
    ],
)
def test_a_damaged_file_is_refused(
    trained: Scene, tmp_path: Path, change: dict[str, str | None], problem: str
) -> None:
    path = tmp_path / "selection.safetensors"
    save_selection(path, prompted(trained))
    tensors, metadata = read_tensors(path)
    changed = {key: value for key, value in (metadata | change).items() if value is not None}
    save_file(tensors, path, changed)

    with pytest.raises(SplatsegError, match="is not a selection") as caught:
        load_selection(path, trained)
    assert problem in str(caught.value)


def test_weights_of_another_length_are_refused(trained: Scene, tmp_path: Path) -> None:
    path = tmp_path / "selection.safetensors"
    made = {"schema": "splatseg.selection/1", "made": json.dumps(["by hand"])}
    metadata = made | {"scene": fingerprint(trained.gaussians)}
    save_file({"weights": torch.ones(3)}, path, metadata)

    with pytest.raises(SplatsegError, match=r"weights of shape \[3\]"):
        load_selection(path, trained)
