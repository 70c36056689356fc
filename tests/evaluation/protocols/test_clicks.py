"""Where click, click3 and random-click click, on hand-made truth."""

import json
import logging

import numpy as np
import pytest
from builders.truth import square, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from splatseg.errors import SplatsegError
from splatseg.evaluation import MIN_TRUTH_PIXELS, Click, Truth
from splatseg.evaluation.clicks import deepest_pixel
from splatseg.evaluation.protocols.click import deepest_clicks
from splatseg.evaluation.protocols.click3 import listed_clicks
from splatseg.evaluation.protocols.random_click import CLICKS_PER_OBJECT, random_clicks

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def sizes(truth: Truth, scale: int = 1) -> dict[str, tuple[int, int]]:
    return {f: (scale * m.shape[1], scale * m.shape[0]) for f, m in truth.maps.items()}


# ---- click


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(np.any))
def test_deepest_pixel_against_all_distances(mask):
    outside = np.argwhere(~np.pad(mask, 1))
    depths = {
        (y, x): ((outside - (y + 1, x + 1)) ** 2).sum(axis=1).min() for y, x in np.argwhere(mask)
    }
    # max keeps the first of equals, and argwhere goes in reading order.
    assert deepest_pixel(mask) == max(depths, key=lambda pixel: depths[pixel])


def test_click_in_the_first_of_the_largest_views_in_photo_pixels():
    large = square(10, 20, 9)
    large[0, 0] = 2
    truth = truth_of(a=square(0, 0, 3), b=large, c=square(0, 0, 9))
    # The middle of the square is pixel (24, 14) of a map at half size, (48..50, 28..30) of the
    # photo; object 2 is the corner pixel.
    expected = [Click(1, "b", 49.0, 29.0), Click(2, "b", 1.0, 1.0)]
    assert deepest_clicks(truth, sizes(truth, 2)) == expected


@pytest.mark.parametrize(
    ("ask", "why"),
    [(deepest_clicks, "no training view"), (random_clicks, "no training view with 50 pixels")],
)
def test_objects_that_no_training_view_shows_are_named(ask, why, caplog):
    truth = truth_of(a=square(0, 0, 8))
    with caplog.at_level(logging.WARNING):
        assert {click.object_id for click in ask(truth, sizes(truth))} == {1}
    assert f"in {why}, so not clicked on and not scored: can" in caplog.text


@pytest.mark.parametrize(
    ("ask", "maps"),
    [(deepest_clicks, {}), (random_clicks, {}), (random_clicks, {"a": square(0, 0, 5)})],
)
def test_no_training_truth_is_refused(ask, maps):
    with pytest.raises(SplatsegError, match="no training view has ground truth") as caught:
        ask(truth_of(**maps), {"a": (60, 40)})
    assert ("`protocol` click3" in str(caught.value)) == (ask is deepest_clicks)


# ---- click3


def listed(object_id: int, *clicks: tuple[str, object, int]) -> dict:
    return {"id": object_id, "clicks": [{"view": v, "x": x, "y": y} for v, x, y in clicks]}


THREE = [("a", 0, 0), ("b", 59, 39), ("a", 7, 5)]
SIZES = {"a": (60, 40), "b": (60, 40)}


def test_click3_reads_pixel_centers(tmp_path):
    (tmp_path / "prompts.json").write_text(json.dumps([listed(1, *THREE), listed(2, *THREE)]))
    clicks = listed_clicks(tmp_path, {1: "cup", 2: "can"}, SIZES)
    assert [click.object_id for click in clicks] == [1, 1, 1, 2, 2, 2]
    assert clicks[1] == Click(1, "b", 59.5, 39.5)


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ({}, r"has 0 clicks for object 1 \(cup\); expected 3"),
        ([listed(1, *THREE[:2])], r"has 2 clicks for object 1 \(cup\); expected 3"),
        ([listed(1, *THREE), listed(2, *THREE)], r"clicks on object 2, which objects\.json"),
        ([listed(1, *THREE[:2], ("c", 0, 0))], "clicks in c, which is not a training view"),
        ([listed(1, *THREE[:2], ("a", 60, 0))], r"clicks at 60\.5,0\.5 in a, .* is 60x40"),
        ([listed(1, *THREE[:2], ("a", 0, -1))], r"clicks at 0\.5,-0\.5 in a"),
        ([{"id": 1}], "does not list clicks"),
        ([listed(1, *THREE[:2], ("a", "left", 0))], "does not list clicks"),
        (3, "does not list clicks"),
    ],
)
def test_click3_checks_the_prompts(tmp_path, prompts, reason):
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    with pytest.raises(SplatsegError, match=rf"prompts\.json {reason}"):
        listed_clicks(tmp_path, {1: "cup"}, SIZES)


# ---- random-click


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


@repeatable
@given(st.lists(st.sets(st.integers(1, 19)), min_size=1, max_size=4).filter(any), st.integers(1, 3))
def test_random_clicks_lie_on_pixel_centers_of_their_object(views, scale):
    truth = many(*(shown(*ids) for ids in views))
    clicks = random_clicks(truth, sizes(truth, scale))
    assert clicks == random_clicks(truth, sizes(truth, scale))
    ids = [click.object_id for click in clicks]
    assert {i: ids.count(i) for i in ids} == dict.fromkeys(set().union(*views), CLICKS_PER_OBJECT)
    for click in clicks:
        x, y = click.x / scale, click.y / scale
        assert truth.maps[click.frame][int(y), int(x)] == click.object_id
        assert (x % 1, y % 1) == pytest.approx((0.5, 0.5))


@repeatable
@given(
    st.sets(st.integers(1, 19), min_size=2).flatmap(
        lambda s: st.tuples(st.just(s), st.sampled_from(sorted(s)))
    )
)
def test_another_object_changes_no_others_random_clicks(drawn):
    ids, other = drawn
    before, after = (many(*[shown(*some)] * 3) for some in (ids - {other}, ids))
    kept = [c for c in random_clicks(after, sizes(after)) if c.object_id != other]
    assert kept == random_clicks(before, sizes(before))


def test_random_clicks_reach_every_view_and_pixel_alike():
    """Seeds of many objects together: views and both halves of the mask, each about as often."""
    truth = many(*[shown(*range(1, 20))] * 2)
    clicks = random_clicks(truth, sizes(truth))
    in_first = np.mean([click.frame == "view_0" for click in clicks])
    in_left = np.mean([click.x % 10 < 4 for click in clicks])
    # 95 draws: a standard deviation of 0.05.
    assert 0.35 < in_first < 0.65 and 0.35 < in_left < 0.65


def test_random_clicks_are_those_of_every_machine():
    """Figures of this protocol compare only while numpy draws the same."""
    truth = many(shown(1, 2), shown(1))
    clicks = random_clicks(truth, sizes(truth))
    assert [(c.frame, c.x, c.y) for c in clicks if c.object_id == 1] == [
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
    assert {click.frame for click in random_clicks(truth, sizes(truth))} == {"b"}
