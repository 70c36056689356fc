"""The picker on the trained synthetic scene, against its truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.scene import Scene
from splatseg.segmentation import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    Picker,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    combine,
    photo_masks,
    query_features,
    select_gaussians,
)
from splatseg.segmentation.picker import KEPT_VIEWS, window_of

MIN_IOU = 0.85  # of a ball in the view of the prompt; clicks have 0.9 and more
BALLS = (1, 2, 3)


@pytest.fixture(scope="module")
def picker(trained: Scene) -> Picker:
    return Picker(trained)


def best_view(synthetic, ball: int) -> str:
    areas = {f: np.sum(synthetic.truth[f] == ball) for f in synthetic.train_frames}
    return max(areas, key=areas.__getitem__)


def click_on(synthetic, ball: int) -> PointPrompt:
    frame = best_view(synthetic, ball)
    x, y = synthetic.click(ball, frame)
    return PointPrompt(frame, x + 0.5, y + 0.5)


def prompts_on(synthetic, ball: int) -> dict[str, Prompt]:
    frame = best_view(synthetic, ball)
    truth = synthetic.truth[frame] == ball
    rows, columns = np.nonzero(truth)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    x, y = synthetic.click(ball, frame)
    return {
        "click": click_on(synthetic, ball),
        "box": BoxPrompt(frame, *map(float, edges)),
        "mask": MaskPrompt(frame, truth),
        "scribble": ScribblePrompt(frame, ((x - 1.0, y + 0.5), (x + 2.0, y + 0.5))),
    }


@pytest.mark.parametrize("ball", BALLS)
@pytest.mark.parametrize("kind", ["click", "box", "mask", "scribble"])
def test_every_prompt_finds_the_ball(picker: Picker, synthetic, ball: int, kind: str) -> None:
    selection = picker.pick([prompts_on(synthetic, ball)[kind]])
    ious = [iou(mask, synthetic.truth[name] == ball) for name, mask in picker.masks(selection)]

    assert len(ious) == len(synthetic.truth)
    assert np.mean(ious) > MIN_IOU


def test_a_gaussian_of_the_ball_selects_it(picker: Picker, synthetic) -> None:
    clicked = picker.pick([click_on(synthetic, 2)])
    some = int(torch.nonzero(clicked.selected)[0])

    again = picker.pick([GaussianPrompt(some)])

    shared = (again.selected & clicked.selected).sum() / (again.selected | clicked.selected).sum()
    assert shared > 0.85


def test_masks_are_those_of_eq_6(picker: Picker, trained: Scene, synthetic) -> None:
    clicks = [click_on(synthetic, 1), click_on(synthetic, 3)]
    queries = query_features(trained.gaussians, trained.frames, clicks)
    expected = photo_masks(trained.gaussians, trained.frames, queries)

    for (name, mask), (frame, wanted) in zip(
        picker.masks(picker.pick(clicks)), expected, strict=True
    ):
        assert name == frame.name
        np.testing.assert_array_equal(mask, wanted)


def test_an_exact_selection_is_that_of_the_votes(picker: Picker, trained: Scene, synthetic) -> None:
    click = click_on(synthetic, 1)
    queries = query_features(trained.gaussians, trained.frames, [click])
    training = [frame for frame in trained.frames if not frame.is_test]
    voted = select_gaussians(trained.gaussians, training, queries)

    exact = picker.pick([click], is_exact=True)
    fast = picker.pick([click])

    assert torch.equal(exact.weights > 0.5, voted)
    assert ((exact.weights > 0) & (exact.weights < 1)).any()
    agreement = (fast.selected & voted).sum() / (fast.selected | voted).sum()
    assert agreement > 0.85


def test_a_negative_click_takes_its_thing_away(picker: Picker, synthetic) -> None:
    one, other = click_on(synthetic, 1), click_on(synthetic, 2)
    both = picker.pick([one, other])
    without = picker.pick([one], [other])

    assert (both.selected & ~without.selected).any()
    mask = picker.mask(without, other.frame)
    assert iou(mask, synthetic.truth[other.frame] == 1) > MIN_IOU
    assert not mask[int(other.y), int(other.x)]


def test_where_one_thing_is_wanted_and_not_a_finer_level_tells(trained: Scene, synthetic) -> None:
    """Two balls are one whole, and two parts."""
    clicks = click_on(synthetic, 1), click_on(synthetic, 2)
    parts = trained.gaussians.features
    one, two = query_features(trained.gaussians, trained.frames, clicks)
    alike = (parts @ two > parts @ one)[:, None]
    wholes = torch.where(alike, parts - (parts @ two)[:, None] * (two - one), parts)
    scene = replace(
        trained, gaussians=replace(trained.gaussians, features=wholes), levels={"part": parts}
    )
    picker = Picker(scene)

    assert picker.pick(clicks[:1]).queries.level == "whole"  # type: ignore[union-attr]
    apart = picker.pick(clicks[:1], clicks[1:])

    assert apart.queries is not None and apart.queries.level == "part"
    truth = synthetic.truth[clicks[0].frame] == 1
    assert iou(picker.mask(apart, clicks[0].frame), truth) > MIN_IOU


def test_the_same_click_wanted_and_not_is_refused(picker: Picker, synthetic) -> None:
    click = click_on(synthetic, 1)
    with pytest.raises(SplatsegError, match="are on one thing at every level"):
        picker.pick([click], [click])


def test_a_label_map_shows_every_selection_once(picker: Picker, synthetic) -> None:
    selections = [picker.pick([click_on(synthetic, ball)]) for ball in BALLS]
    for name, truth in synthetic.truth.items():
        labels = picker.label_map(selections, name)
        for ball in BALLS:
            assert iou(labels == ball, truth == ball) > 0.6


def test_weights_give_about_the_masks_of_their_prompts(picker: Picker, synthetic) -> None:
    click = click_on(synthetic, 2)
    exact = picker.pick([click], is_exact=True)
    by_weights = replace(exact, queries=None)

    assert iou(picker.mask(exact, click.frame), picker.mask(by_weights, click.frame)) > 0.85


def test_added_balls_show_together(picker: Picker, synthetic) -> None:
    one, two = (picker.pick([click_on(synthetic, ball)], is_exact=True) for ball in (1, 2))
    both = combine(one, two, "add")
    frame = best_view(synthetic, 1)

    together = picker.mask(both, frame)

    assert iou(together, np.isin(synthetic.truth[frame], (1, 2))) > MIN_IOU


def test_only_the_latest_views_are_kept(synthetic, trained: Scene) -> None:
    picker = Picker(trained)
    queries = picker.queries([click_on(synthetic, 1)])
    for frame in trained.frames:
        picker.margin_of(queries, frame.name)
    assert len(picker._maps) == KEPT_VIEWS
    assert [name for _, name in picker._maps] == [f.name for f in trained.frames[-KEPT_VIEWS:]]


def test_the_first_answer_reports_the_training_views(trained: Scene, synthetic) -> None:
    seen: list[tuple[int, int]] = []
    picker = Picker(trained, lambda done, total: seen.append((done, total)))
    picker.pick([click_on(synthetic, 1)])
    assert seen == [(k, 8) for k in range(8)]
    picker.pick([click_on(synthetic, 2)])
    assert len(seen) == 8


def test_what_cannot_be_asked_is_refused(picker: Picker, trained: Scene, synthetic) -> None:
    click = click_on(synthetic, 1)
    with pytest.raises(SplatsegError, match="no prompt for what to select"):
        picker.pick([], [click])
    with pytest.raises(SplatsegError, match="there is no Gaussian 1000000"):
        picker.pick([GaussianPrompt(1_000_000)])
    with pytest.raises(SplatsegError, match="has no level part"):
        picker.pick([click], level="part")
    with pytest.raises(SplatsegError, match="there is no frame nowhere"):
        picker.pick([replace(click, frame="nowhere")])
    with pytest.raises(SplatsegError, match="is of another scene"):
        picker.mask(replace(picker.pick([click]), scene="other"), click.frame)
    bare = replace(trained.gaussians, features=trained.gaussians.features[:, :0])
    with pytest.raises(SplatsegError, match="no segmentation features"):
        Picker(replace(trained, gaussians=bare))


def test_a_gaussian_that_no_view_sees_is_refused(trained: Scene, synthetic) -> None:
    means = trained.gaussians.means.clone()
    means[7] = 1e4
    picker = Picker(replace(trained, gaussians=replace(trained.gaussians, means=means)))
    with pytest.raises(SplatsegError, match="no training view sees Gaussian 7"):
        picker.pick([GaussianPrompt(7)])


def test_masks_from_a_part_of_a_view_are_those_from_the_whole(trained: Scene, synthetic) -> None:
    """Before anything is picked, whole views are rendered; after, the part around the object."""
    clicks = [click_on(synthetic, ball) for ball in BALLS]
    fresh, warm = Picker(trained), Picker(trained)
    warm.view_aggregated_features()
    asked = [fresh.queries([click]) for click in clicks]
    rendered = []
    for queries in [*asked, replace(asked[0], negative=asked[1].positive)]:
        for frame in trained.frames:
            whole, part = (each.margin_of(queries, frame.name) for each in (fresh, warm))
            inside = part > -1
            rendered.append(inside.mean())
            assert np.array_equal(part >= 0, whole >= 0)
            assert np.allclose(part[inside], whole[inside], atol=1e-4)
    assert 0 < np.median(rendered) < 0.5


def test_a_window_around_nothing_is_empty(trained: Scene) -> None:
    behind = replace(trained.gaussians, means=trained.gaussians.means + 1e6)
    assert window_of(behind, trained.frames[0].camera) == (0, 0, 0, 0)
