"""Selections: combined, grown, and on disk."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from splatseg.errors import SplatsegError
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.segmentation import Selection, combine, grow, load_selection, save_selection
from splatseg.segmentation.selection import Queries, fingerprint, level_checksum, weights_margin
from splatseg.tensor_files import read_tensors

WEIGHTS = st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5)


@pytest.fixture
def half(trained: Scene) -> Selection:
    """Made by weights alone."""
    x = trained.gaussians.means[:, 0]
    return Selection((x > x.median()).float(), fingerprint(trained.gaussians), ("half of it",))


@pytest.fixture
def prompted(trained: Scene, half: Selection) -> Selection:
    unit = torch.nn.functional.normalize(trained.gaussians.features[:2], dim=1)
    checksum = level_checksum(trained, "whole") or ""
    return replace(half, queries=Queries("whole", unit[:1], unit[1:], 0.65, checksum))


def toy(weights: list[float]) -> Selection:
    return Selection(torch.tensor(weights), "toy", (f"weights {weights}",))


@given(WEIGHTS, WEIGHTS)
def test_combining_is_that_of_fuzzy_sets(first: list[float], second: list[float]) -> None:
    a, b = toy(first), toy(second)
    add, both = combine(a, b, "add").weights, combine(a, b, "intersect").weights
    assert torch.equal(add, combine(b, a, "add").weights)
    assert torch.equal(both, combine(b, a, "intersect").weights)
    assert bool((both <= a.weights).all()) and bool((a.weights <= add).all())
    # De Morgan: a without b is what a shares with all but b.
    rest, without = combine(toy([1.0] * 5), b, "subtract"), combine(a, b, "subtract")
    assert torch.equal(without.weights, combine(a, rest, "intersect").weights)
    assert without.made == (f"weights {first}", f"subtract (weights {second})")


@pytest.mark.parametrize("steps", [1, 2])
def test_growing_adds_neighbors_and_shrinking_takes_them_away(
    trained: Scene, half: Selection, prompted: Selection, steps: int
) -> None:
    gaussians = trained.gaussians
    larger, smaller = (grow(half, gaussians, k) for k in (steps, -steps))
    assert (
        bool((larger.selected >= half.selected).all())
        and larger.selected.sum() > half.selected.sum()
    )
    everything_else = replace(half, weights=1 - half.weights)
    assert torch.equal(grow(everything_else, gaussians, steps).selected, ~smaller.selected)
    nothing = replace(half, weights=0 * half.weights)
    assert grow(nothing, gaussians, steps) is nothing
    # What is combined or grown is its weights alone.
    assert grow(prompted, gaussians, steps).queries is None
    assert combine(prompted, half, "add").queries is None
    assert grow(prompted, gaussians, 0).queries is not None


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
    some = torch.rand(len(gaussians), generator=torch.Generator().manual_seed(1))
    everything, nothing, inside, outside = (
        weights_margin(gaussians, view, weights)
        for weights in (torch.ones_like(some), torch.zeros_like(some), some, 1 - some)
    )
    covered = everything > -1
    torch.testing.assert_close(everything[covered], torch.full_like(everything[covered], 0.5))
    torch.testing.assert_close(nothing[covered], torch.full_like(nothing[covered], -0.5))
    torch.testing.assert_close(inside[covered], -outside[covered], atol=1e-5, rtol=0)
    assert bool((inside[~covered] == -1).all())


def test_a_saved_selection_is_loaded_as_it_was(trained, half, prompted, tmp_path) -> None:
    path = tmp_path / "selection.safetensors"
    anew = replace(trained.gaussians, features=-trained.gaussians.features)
    for selection, scene in (
        (prompted, trained),
        (half, trained),
        (prompted, replace(trained, gaussians=anew)),  # its features are gone, its weights not
    ):
        save_selection(path, selection)
        found = load_selection(path, scene)
        assert torch.equal(found.weights, selection.weights)
        assert (found.scene, found.made) == (selection.scene, selection.made)
        assert (found.queries is not None) == (selection is prompted and scene is trained)
        if found.queries:
            assert torch.equal(found.queries.positive, selection.queries.positive)
            assert torch.equal(found.queries.negative, selection.queries.negative)
            assert found.queries.threshold == 0.65


@pytest.mark.parametrize(
    ("metadata", "tensors", "sentence"),
    [
        ({"schema": "other/3"}, {}, "is not a selection.*its schema is other/3"),
        ({"made": "not JSON"}, {}, "is not a selection.*Expecting value"),
        ({"level": "crumb"}, {}, "is not a selection.*its level is crumb"),
        ({"threshold": "high"}, {}, "is not a selection.*could not convert"),
        ({"scene": None}, {}, "is not a selection.*scene"),
        ({}, {"weights": torch.ones(3)}, r"weights of shape \[3\]"),
        ({"scene": "other"}, {}, "is of another scene"),
    ],
)
def test_another_file_is_refused(trained, prompted, tmp_path, metadata, tensors, sentence) -> None:
    path = tmp_path / "selection.safetensors"
    save_selection(path, prompted)
    saved, before = read_tensors(path)
    changed = {key: value for key, value in (before | metadata).items() if value is not None}
    save_file(dict(saved) | tensors, path, changed)
    with pytest.raises(SplatsegError, match="(?s)" + sentence):
        load_selection(path, trained)
    with pytest.raises(SplatsegError, match="is of another scene"):
        combine(toy([1.0]), prompted, "add")
