"""The picker on the trained synthetic scene, against its truth."""

import gc
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders.progress import Recorder

from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.segmentation import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    Picker,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    cluster_gaussians,
    combine,
    feature_map,
)
from splatseg.segmentation.picker import KEPT_VIEWS, window_of
from splatseg.segmentation.views import camera_key

MIN_IOU = 0.85  # of a ball in the view of the prompt; clicks have 0.9 and more
MIN_VIEW_IOU = 0.6  # of a clicked ball in any view; the lowest of seeds 0 to 4 are 0.85 to 0.93
MIN_SELECTED_IN_BALL = 0.9  # of the chosen Gaussians in or near it; seeds 0 to 2 have 0.96
MARGIN = 0.12  # world units around a ball: a Gaussian's own size and the noise of its position
EARLY_STOP = 2e-4  # whole images stop at a transmittance of 1e-4, block by block; pixels one by one
BALLS = (1, 2, 3)
CLICK = PointPrompt("view_0", 48.5, 36.5)  # on a ball


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


def prompts_on(picker: Picker, synthetic, ball: int) -> dict[str, Prompt]:
    """One of each kind."""
    frame = best_view(synthetic, ball)
    truth = synthetic.truth[frame] == ball
    rows, columns = np.nonzero(truth)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    click = click_on(synthetic, ball)
    return {
        "click": click,
        "box": BoxPrompt(frame, *map(float, edges)),
        "mask": MaskPrompt(frame, truth),
        "scribble": ScribblePrompt(frame, ((click.x - 1.5, click.y), (click.x + 1.5, click.y))),
        "gaussian": GaussianPrompt(int(picker.pick([click]).selected.nonzero()[0])),
    }


@pytest.mark.parametrize("kind", ["click", "box", "mask", "scribble", "gaussian"])
def test_every_prompt_finds_its_ball(picker: Picker, synthetic, kind: str) -> None:
    picks = [picker.pick([prompts_on(picker, synthetic, ball)[kind]]) for ball in BALLS]
    for ball, selection in zip(BALLS, picks, strict=True):
        ious = [iou(mask, synthetic.truth[name] == ball) for name, mask in picker.masks(selection)]
        assert len(ious) == len(synthetic.truth)
        assert np.mean(ious) > MIN_IOU
        assert kind != "click" or min(ious) > MIN_VIEW_IOU
    for name, truth in synthetic.truth.items():
        labels = picker.label_map(picks, name)
        assert all(iou(labels == ball, truth == ball) > MIN_VIEW_IOU for ball in BALLS)


def test_masks_are_those_of_eq_6(picker: Picker, trained: Scene, synthetic) -> None:
    clicks = [click_on(synthetic, 1), click_on(synthetic, 3)]
    queries = picker.queries(clicks)
    masks = dict(picker.masks(picker.pick(clicks)))
    assert list(masks) == [frame.name for frame in trained.frames]
    for frame in trained.frames[:3]:
        shown = feature_map(trained.gaussians, project(trained.gaussians, frame.camera))
        cosines = torch.einsum("hwf,qf->hwq", shown.features, queries.positive).amax(dim=-1)
        expected = torch.where(shown.covered, cosines, -1.0).numpy()
        np.testing.assert_allclose(picker.similarity(queries, frame.name), expected, atol=1e-5)
        sure = abs(expected - queries.threshold) > 1e-4
        np.testing.assert_array_equal(masks[frame.name][sure], expected[sure] >= queries.threshold)
        one, other = (picker.mask(picker.pick([click]), frame.name) for click in clicks)
        np.testing.assert_array_equal(masks[frame.name], one | other)
    own = F.normalize(trained.gaussians.features, dim=1)
    best = (own @ queries.positive.T).amax(dim=1)
    sure = (best - queries.threshold).abs() > 1e-5
    chosen = picker.select_by_own_features(queries)  # as the paper does
    assert torch.equal(chosen[sure], best[sure] >= queries.threshold)


def test_a_query_is_the_mean_of_the_unit_features_around_the_click(
    picker: Picker, trained: Scene, synthetic
) -> None:
    click = click_on(synthetic, 1)
    camera = trained.frame(click.view).camera
    shown = feature_map(trained.gaussians, project(trained.gaussians, camera)).features
    row, column = int(click.y), int(click.x)
    for radius in (0, 1, 2):
        window = shown[row - radius : row + radius + 1, column - radius : column + radius + 1]
        expected = F.normalize(window.flatten(0, 1).mean(dim=0), dim=0)
        found = picker.queries([click], radius=radius).positive
        assert torch.allclose(found[0], expected, atol=EARLY_STOP)


def test_any_camera_is_a_view(picker: Picker, trained: Scene, synthetic) -> None:
    """A frame's camera is the frame; another one gives what it sees."""
    frame = trained.frame(best_view(synthetic, 2))
    prompts = prompts_on(picker, synthetic, 2)
    click = prompts["click"]
    for prompt in prompts.values():
        if not isinstance(prompt, GaussianPrompt):
            there = picker.pick([replace(prompt, view=frame.camera)])
            assert torch.equal(there.weights, picker.pick([prompt]).weights)
    selection = picker.pick([click])
    mask = picker.mask(selection, frame.name)
    (view, same), (_, at_lens) = picker.masks(selection, [frame.camera, frame])
    assert view is frame.camera
    assert np.array_equal(same, mask) and np.array_equal(at_lens, mask)
    larger = frame.camera.resized(2 * frame.camera.width, 2 * frame.camera.height)
    seen = picker.mask(replace(selection, queries=None), larger)  # by its weights
    assert iou(seen[::2, ::2], mask) > MIN_IOU
    halved = replace(frame, lens=frame.lens.resized(48, 36))
    assert picker.margin(selection, halved).shape == (36, 48)
    with pytest.raises(SplatsegError, match=r"at 500,5 lies outside the camera's image, which is"):
        picker.pick([PointPrompt(larger, 500.0, 5.0)])
    apart = picker.pick([PointPrompt(larger, 2 * click.x, 2 * click.y)])
    assert "in a camera's image" in apart.made[0]


def test_exact_selections_are_votes_asked_together_or_one_by_one(
    picker: Picker, trained: Scene, synthetic, balls
) -> None:
    clicks = [click_on(synthetic, ball) for ball in BALLS]
    together = picker.pick_many([([click], []) for click in clicks], is_exact=True)
    assert picker.pick_many([], is_exact=True) == []
    for ball, click, exact in zip(BALLS, clicks, together, strict=True):
        assert torch.equal(exact.weights, picker.pick([click], is_exact=True).weights)
        assert ((exact.weights > 0) & (exact.weights < 1)).any()
        fast = picker.pick([click]).selected
        assert (fast & exact.selected).sum() / (fast | exact.selected).sum() > 0.85
        center, radius = balls[ball]
        depth = radius - (trained.gaussians.means - torch.tensor(center)).norm(dim=1)
        assert (depth[exact.selected] > -MARGIN).float().mean() > MIN_SELECTED_IN_BALL
    both = picker.mask(combine(*together[:2], "add"), clicks[0].view)
    assert iou(both, np.isin(synthetic.truth[clicks[0].view], (1, 2))) > MIN_IOU


def test_the_masks_of_an_exact_selection_are_kept_while_it_lives(
    trained: Scene, synthetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    picker = Picker(trained)
    exact = picker.pick([click_on(synthetic, 1)], is_exact=True, keep_masks=True)
    rendered = [Picker(trained).mask(exact, frame.name) for frame in trained.train]
    monkeypatch.setattr(picker, "margin", None)  # nothing is rendered
    for frame, mask in zip(trained.train, rendered, strict=True):
        assert np.array_equal(picker.mask(exact, frame.name), mask)
    assert len(picker._masks) == 1
    del exact
    gc.collect()
    assert len(picker._masks) == 0


def test_a_negative_click_takes_its_thing_away(picker: Picker, synthetic) -> None:
    one, other = click_on(synthetic, 1), click_on(synthetic, 2)
    both = picker.pick([one, other])
    without = picker.pick([one], [other])
    assert (both.selected & ~without.selected).any()
    mask = picker.mask(without, other.view)
    assert iou(mask, synthetic.truth[other.view] == 1) > MIN_IOU
    assert not mask[int(other.y), int(other.x)]


def test_where_one_thing_is_wanted_and_not_a_finer_level_tells(trained: Scene, synthetic) -> None:
    """Two balls are one whole, and two parts."""
    clicks = click_on(synthetic, 1), click_on(synthetic, 2)
    parts = trained.gaussians.features
    one, two = Picker(trained).queries(clicks).positive
    alike = (parts @ two > parts @ one)[:, None]
    wholes = torch.where(alike, parts - (parts @ two)[:, None] * (two - one), parts)
    scene = replace(
        trained, gaussians=replace(trained.gaussians, features=wholes), levels={"part": parts}
    )
    picker = Picker(scene)
    assert picker.pick(clicks[:1]).queries.level == "whole"  # type: ignore[union-attr]
    apart = picker.pick(clicks[:1], clicks[1:])
    assert apart.queries is not None and apart.queries.level == "part"
    truth = synthetic.truth[clicks[0].view] == 1
    assert iou(picker.mask(apart, clicks[0].view), truth) > MIN_IOU


def test_the_first_answer_tells_of_the_training_views_and_the_latest_are_kept(
    trained: Scene, synthetic
) -> None:
    progress = Recorder()
    picker = Picker(trained, progress)
    fresh, queries = Picker(trained), picker.queries([click_on(synthetic, 1)])
    for ball in (1, 2):
        picker.pick([click_on(synthetic, ball)])
        assert progress.updates == [("selecting", k, 8) for k in range(1, 9)]
    for frame in trained.frames:
        fresh.margin_of(queries, frame.name)
    latest = [camera_key(frame.camera) for frame in trained.frames[-KEPT_VIEWS:]]
    assert [place[0] for _, place in fresh._maps] == latest  # pyright: ignore
    copied = replace(frame.camera, cam_from_world=frame.camera.cam_from_world.clone())
    assert camera_key(copied) == latest[-1] != camera_key(replace(copied, fx=copied.fx + 1))


@pytest.mark.parametrize(
    ("wanted", "unwanted", "options", "sentence"),
    [
        ([], [CLICK], {}, "no prompt for what to select"),
        ([CLICK], [CLICK], {}, "are on one object at every level"),
        ([GaussianPrompt(1_000_000)], [], {}, "there is no Gaussian 1000000"),
        ([GaussianPrompt(7)], [], {}, "no training view sees Gaussian 7"),
        ([CLICK], [], {"radius": -1}, "the query radius is -1; expected 0 or more"),
        ([CLICK], [], {"level": "part"}, "has no level part"),
        ([replace(CLICK, view="nowhere")], [], {}, "there is no frame nowhere"),
        ([PointPrompt("view_0", 2.5, 2.5)], [], {}, "at 2.5,2.5 in view_0 is on empty background"),
    ],
)
def test_what_cannot_be_asked_is_refused(trained, wanted, unwanted, options, sentence) -> None:
    means = trained.gaussians.means.clone()
    means[7] = 1e4
    lost = replace(trained, gaussians=replace(trained.gaussians, means=means))
    with pytest.raises(SplatsegError, match=re.escape(sentence)):
        Picker(lost).pick(wanted, unwanted, **options)


def test_another_scene_is_refused_and_one_without_features(picker, trained: Scene) -> None:
    with pytest.raises(SplatsegError, match="is of another scene"):
        picker.mask(replace(picker.pick([CLICK]), scene="other"), CLICK.view)
    bare = replace(trained.gaussians, features=trained.gaussians.features[:, :0])
    for ask in (Picker, lambda scene: cluster_gaussians(scene.gaussians, scene.frames)):
        with pytest.raises(SplatsegError, match="no segmentation features"):
            ask(replace(trained, gaussians=bare))


def test_masks_from_a_part_of_a_view_are_those_from_the_whole(trained: Scene, synthetic) -> None:
    """Before anything is picked, whole views are rendered; after, the part around the object."""
    fresh, warm = Picker(trained), Picker(trained)
    warm.view_aggregated_features()
    asked = [fresh.queries([click_on(synthetic, ball)]) for ball in BALLS]
    rendered = []
    for queries in [*asked, replace(asked[0], negative=asked[1].positive)]:
        for frame in trained.frames:
            whole, part = (each.margin_of(queries, frame.name) for each in (fresh, warm))
            inside = part > -1
            rendered.append(inside.mean())
            assert np.array_equal(part >= 0, whole >= 0)
            assert np.allclose(part[inside], whole[inside], atol=1e-4)
    assert 0 < np.median(rendered) < 0.5
    behind = replace(trained.gaussians, means=trained.gaussians.means + 1e6)
    assert window_of(behind, trained.frames[0].camera) == (0, 0, 0, 0)
