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
from splatseg.evaluation import Click, Truth
from splatseg.evaluation.clicks import deepest_pixel
from splatseg.evaluation.protocols.click import deepest_clicks
from splatseg.evaluation.protocols.click3 import listed_clicks
from splatseg.evaluation.protocols.random_click import CLICKS_PER_OBJECT, random_clicks

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def sizes(truth: Truth, scale: int = 1) -> dict[str, tuple[int, int]]:
    return {f: (scale * m.shape[1], scale * m.shape[0]) for f, m in truth.maps.items()}


@repeatable
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(np.any))
def test_deepest_pixel_against_all_distances(mask):
    outside = np.argwhere(~np.pad(mask, 1))
    # max keeps the first of equals, and argwhere goes in reading order.
    expected = max(np.argwhere(mask), key=lambda p: ((outside - p - 1) ** 2).sum(axis=1).min())
    assert deepest_pixel(mask) == tuple(expected)


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


THREE = [("a", 0, 0), ("b", 59, 39), ("a", 7, 5)]
SIZES = {"a": (60, 40), "b": (60, 40)}


def listed(object_id: int, *clicks: tuple[str, object, int]) -> dict:
    return {"id": object_id, "clicks": [{"view": v, "x": x, "y": y} for v, x, y in clicks]}


def test_click3_reads_pixel_centers(tmp_path):
    (tmp_path / "prompts.json").write_text(json.dumps([listed(1, *THREE), listed(2, *THREE)]))
    clicks = listed_clicks(tmp_path, {1: "cup", 2: "can"}, SIZES)
    assert clicks == [Click(i, view, x + 0.5, y + 0.5) for i in (1, 2) for view, x, y in THREE]


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


def many(*views: set[int]) -> Truth:
    """Views of 40x60 with an 8x8 square for each object, in a place of its own."""
    maps = {f"view_{k}": np.zeros((40, 60), dtype=np.uint8) for k in range(len(views))}
    for instance_map, ids in zip(maps.values(), views, strict=True):
        for i in ids:
            top, left = 10 * (i // 6), 10 * (i % 6)
            instance_map[top : top + 8, left : left + 8] = i
    return Truth({i: f"object {i}" for i in range(1, 20)}, maps)


some_ids = st.sets(st.integers(1, 19))


@repeatable
@given(st.lists(some_ids, min_size=1, max_size=4).filter(any), some_ids, st.integers(1, 3))
def test_random_clicks_lie_in_their_object_whatever_others_there_are(views, others, scale):
    truth, fewer = many(*views), many(*[ids - others for ids in views])
    clicks = random_clicks(truth, sizes(truth, scale))
    ids = [click.object_id for click in clicks]
    assert {i: ids.count(i) for i in ids} == dict.fromkeys(set().union(*views), CLICKS_PER_OBJECT)
    for click in clicks:
        x, y = click.x / scale, click.y / scale
        assert truth.maps[click.frame][int(y), int(x)] == click.object_id
        assert (x % 1, y % 1) == pytest.approx((0.5, 0.5))
    kept = [click for click in clicks if click.object_id not in others]
    assert not kept or kept == random_clicks(fewer, sizes(fewer, scale))


def test_random_clicks_are_those_of_every_machine():
    """Figures of this protocol compare only while numpy draws the same."""
    truth = many({1, 2}, {1})
    clicks = random_clicks(truth, sizes(truth))
    found = [(c.frame[-1], c.x, c.y) for c in clicks if c.object_id == 1]
    first, second = [("0", 10.5, 4.5), ("1", 14.5, 7.5), ("0", 11.5, 1.5)], ("1", 14.5, 7.5)
    assert found == [*first, second, ("0", 13.5, 2.5)]
    truth = truth_of(a=square(0, 0, 7), b=square(0, 0, 8))
    assert {click.frame for click in random_clicks(truth, sizes(truth))} == {"b"}  # 50 pixels
