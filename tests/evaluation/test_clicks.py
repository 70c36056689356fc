"""Where the protocols click, on hand-made truth."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.errors import SplatsegError
from splatseg.evaluation import (
    CLICKS_PER_OBJECT_RANDOM,
    MIN_TRUTH_PIXELS,
    Query,
    Truth,
    click3_queries,
    click_queries,
    random_queries,
)
from splatseg.evaluation.clicks import deepest_pixel

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def square(top: int, left: int, side: int, label: int = 1) -> np.ndarray:
    """A 40x60 instance map with one square object."""
    instance_map = np.zeros((40, 60), dtype=np.uint8)
    instance_map[top : top + side, left : left + side] = label
    return instance_map


def truth_of(**maps: np.ndarray) -> Truth:
    return Truth(names={1: "cup", 2: "can"}, maps=maps)


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_deepest_pixel_against_all_distances(mask):
    if not mask.any():
        return
    framed = np.pad(mask, 1)
    outside = np.argwhere(~framed)
    depths = {
        (y, x): ((outside - (y + 1, x + 1)) ** 2).sum(axis=1).min() for y, x in np.argwhere(mask)
    }
    # max keeps the first of equals, and argwhere goes in reading order.
    assert deepest_pixel(mask) == max(depths, key=lambda pixel: depths[pixel])


def test_click_in_the_first_of_the_largest_views_in_photo_pixels():
    small, large = square(0, 0, 3), square(10, 20, 9)
    large[0, 0] = 2
    queries = click_queries(
        truth_of(a=small, b=large, c=square(0, 0, 9)), {f: (120, 80) for f in "abc"}
    )
    # The middle of the square is pixel (24, 14) of a map at half size, (48..50, 28..30) of the
    # photo; object 2 is the corner pixel.
    assert queries == [Query(1, "b", 49.0, 29.0), Query(2, "b", 1.0, 1.0)]


def test_objects_in_no_training_view_are_not_asked_for(caplog):
    with caplog.at_level(logging.WARNING):
        queries = click_queries(truth_of(a=square(0, 0, 3)), {"a": (60, 40)})
    assert [q.object_id for q in queries] == [1]
    assert "not clicked on and not scored: can" in caplog.text


def test_click_without_training_truth_proposes_click3():
    with pytest.raises(SplatsegError, match="use --protocol click3"):
        click_queries(truth_of(), {})


def prompt(object_id: int, *clicks: tuple[str, int, int]) -> dict:
    return {"id": object_id, "clicks": [{"view": v, "x": x, "y": y} for v, x, y in clicks]}


THREE = [("a", 0, 0), ("b", 59, 39), ("a", 7, 5)]
SIZES = {"a": (60, 40), "b": (60, 40)}


def test_click3_reads_pixel_centers(tmp_path):
    prompts = [prompt(1, *THREE), prompt(2, *THREE)]
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    queries = click3_queries(tmp_path, {1: "cup", 2: "can"}, SIZES)
    assert [q.object_id for q in queries] == [1, 1, 1, 2, 2, 2]
    assert queries[1] == Query(1, "b", 59.5, 39.5)


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ({}, r"has 0 clicks for object 1 \(cup\); expected 3"),
        ([prompt(1, *THREE[:2])], r"has 2 clicks for object 1 \(cup\); expected 3"),
        ([prompt(1, *THREE), prompt(2)], None),
        ([prompt(1, *THREE), prompt(2, *THREE)], r"clicks on object 2, which objects\.json"),
        ([prompt(1, *THREE[:2], ("c", 0, 0))], "clicks in c, which is not a training view"),
        ([prompt(1, *THREE[:2], ("a", 60, 0))], r"clicks at 60\.5,0\.5 in a, whose photo is 60x40"),
        ([prompt(1, *THREE[:2], ("a", 0, -1))], r"clicks at 0\.5,-0\.5 in a"),
        ([{"id": 1}], "does not list clicks"),
        ([prompt(1, *THREE[:2], ("a", "left", 0))], "does not list clicks"),
        (3, "does not list clicks"),
    ],
)
def test_click3_checks_the_prompts(tmp_path, prompts, reason):
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    if reason is None:
        assert len(click3_queries(tmp_path, {1: "cup"}, SIZES)) == 3
        return
    with pytest.raises(SplatsegError, match=rf"prompts\.json {reason}"):
        click3_queries(tmp_path, {1: "cup"}, SIZES)


def test_click3_without_prompts(tmp_path):
    with pytest.raises(SplatsegError, match=r"no .*prompts\.json; this protocol needs"):
        click3_queries(tmp_path, {1: "cup"}, SIZES)


# ---- random clicks


def shown(*object_ids: int) -> np.ndarray:
    """A 40x60 instance map with an 8x8 square for each object, in a place of its own."""
    instance_map = np.zeros((40, 60), dtype=np.uint8)
    for object_id in object_ids:
        top, left = 10 * (object_id // 6), 10 * (object_id % 6)
        instance_map[top : top + 8, left : left + 8] = object_id
    return instance_map


def many(*maps: np.ndarray) -> Truth:
    names = {i: f"object {i}" for i in range(1, 20)}
    return Truth(names, {f"view_{k}": instance_map for k, instance_map in enumerate(maps)})


def sizes(truth: Truth, scale: int = 1) -> dict[str, tuple[int, int]]:
    return {f: (scale * m.shape[1], scale * m.shape[0]) for f, m in truth.maps.items()}


@repeatable
@given(st.lists(st.sets(st.integers(1, 19)), min_size=1, max_size=4), st.integers(1, 3))
def test_random_clicks_lie_on_pixel_centers_of_their_object(views, scale):
    truth = many(*(shown(*ids) for ids in views))
    if not set().union(*views):
        return
    queries = random_queries(truth, sizes(truth, scale))
    assert queries == random_queries(truth, sizes(truth, scale))
    counts = {i: [q.object_id for q in queries].count(i) for i in set().union(*views)}
    assert set(counts.values()) == {CLICKS_PER_OBJECT_RANDOM}
    for query in queries:
        x, y = query.x / scale, query.y / scale
        assert truth.maps[query.frame][int(y), int(x)] == query.object_id
        assert (x % 1, y % 1) == pytest.approx((0.5, 0.5))


@repeatable
@given(st.sets(st.integers(1, 19), min_size=1), st.integers(1, 19))
def test_another_object_changes_no_others_random_clicks(ids, other):
    before, after = (many(*[shown(*some)] * 3) for some in (ids - {other}, ids | {other}))
    if ids == {other}:
        return
    kept = [q for q in random_queries(after, sizes(after)) if q.object_id != other]
    assert kept == random_queries(before, sizes(before))


def test_random_clicks_reach_every_view_and_pixel_alike():
    """Seeds of many objects together: views and both halves of the mask, each about as often."""
    maps = [shown(*range(1, 20))] * 2
    queries = random_queries(many(*maps), sizes(many(*maps)))
    in_first = np.mean([q.frame == "view_0" for q in queries])
    in_left = np.mean([q.x % 10 < 4 for q in queries])
    # 95 draws: a standard deviation of 0.05.
    assert 0.35 < in_first < 0.65 and 0.35 < in_left < 0.65


def test_random_clicks_are_those_of_every_machine():
    """Figures of this protocol compare only while numpy draws the same; see protocols.py."""
    truth = many(shown(1, 2), shown(1))
    queries = random_queries(truth, sizes(truth))
    assert [(q.frame, q.x, q.y) for q in queries if q.object_id == 1] == [
        ("view_0", 10.5, 4.5),
        ("view_1", 14.5, 7.5),
        ("view_0", 11.5, 1.5),
        ("view_1", 14.5, 7.5),
        ("view_0", 13.5, 2.5),
    ]


def test_random_clicks_need_views_that_show_enough():
    seven, eight = square(0, 0, 7), square(0, 0, 8)
    assert seven.sum() < MIN_TRUTH_PIXELS <= eight.sum()
    truth = truth_of(a=seven, b=eight)
    assert {q.frame for q in random_queries(truth, sizes(truth))} == {"b"}


def test_objects_that_no_training_view_shows_enough_of_are_named(caplog):
    truth = truth_of(a=square(0, 0, 8) + square(20, 20, 5, label=2))
    with caplog.at_level(logging.WARNING):
        assert {q.object_id for q in random_queries(truth, sizes(truth))} == {1}
    assert "no training view with 50 pixels, so not clicked on and not scored: can" in caplog.text


@pytest.mark.parametrize("maps", [{}, {"a": square(0, 0, 5)}])
def test_random_clicks_without_truth_are_refused(maps):
    with pytest.raises(SplatsegError, match="no training view has ground truth"):
        random_queries(truth_of(**maps), {"a": (60, 40)})
