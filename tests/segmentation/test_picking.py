"""Picking on the trained synthetic scene, against the truth of every view."""

import dataclasses

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation import iou
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.segmentation import (
    PointPrompt,
    feature_map,
    photo_masks,
    photo_similarity,
    query_features,
    select_gaussians,
    select_objects,
)
from splatseg.segmentation.picking import _neighborhood

MIN_VIEW_IOU = 0.6  # of a ball in any view; the lowest of seeds 0 to 4 are 0.85 to 0.93
MIN_MEAN_IOU = 0.85  # over views and balls; seeds 0 to 4 have 0.94 to 0.97
MIN_SELECTED_IN_BALL = 0.9  # share of the chosen Gaussians in or near it; seeds 0 to 2 have 0.96
MARGIN = 0.12  # world units around a ball: a Gaussian's own size and the noise of its position
BALLS = (1, 2, 3)
EARLY_STOP = 2e-4  # whole images stop at a transmittance of 1e-4, block by block; pixels one by one


def click_on(synthetic, object_id: int, frame: str | None = None) -> PointPrompt:
    """A click in the training view that shows most of the object."""
    areas = {f: np.sum(synthetic.truth[f] == object_id) for f in synthetic.train_frames}
    frame = frame or max(areas, key=areas.__getitem__)
    x, y = synthetic.click(object_id, frame)
    return PointPrompt(frame, x + 0.5, y + 0.5)


def queries_of(scene: Scene, *clicks: PointPrompt) -> torch.Tensor:
    return query_features(scene.gaussians, scene.frames, clicks)


def test_a_click_finds_the_object_in_every_view(trained: Scene, synthetic) -> None:
    ious = []
    for ball in BALLS:
        queries = queries_of(trained, click_on(synthetic, ball))
        for frame, mask in photo_masks(trained.gaussians, trained.frames, queries):
            ious.append(iou(mask, synthetic.truth[frame.name] == ball))
    assert len(ious) == 3 * len(synthetic.truth)
    assert min(ious) > MIN_VIEW_IOU
    assert np.mean(ious) > MIN_MEAN_IOU


def test_a_query_is_the_mean_of_the_unit_features_around_the_click(
    trained: Scene, synthetic
) -> None:
    click = click_on(synthetic, 1)
    frame = next(f for f in trained.frames if f.name == click.frame)
    shown = feature_map(trained.gaussians, project(trained.gaussians, frame.camera)).features
    row, column = int(click.y), int(click.x)
    for radius in (0, 1, 2):
        window = shown[row - radius : row + radius + 1, column - radius : column + radius + 1]
        expected = torch.nn.functional.normalize(window.flatten(0, 1).mean(dim=0), dim=0)
        found = query_features(trained.gaussians, trained.frames, [click], radius)
        assert torch.allclose(found[0], expected, atol=EARLY_STOP)


def test_a_query_at_the_photos_corner_takes_the_pixels_there_are(trained: Scene) -> None:
    frame = trained.frames[0]
    found = _neighborhood(torch.tensor([0, 0], dtype=torch.int32), 1, frame)
    assert found.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_negative_query_radius_is_refused(trained: Scene, synthetic) -> None:
    with pytest.raises(SplatsegError, match="the query radius is -1; expected 0 or more"):
        query_features(trained.gaussians, trained.frames, [click_on(synthetic, 1)], -1)


def test_the_query_of_one_pixel_is_a_unit_feature_that_it_has(trained: Scene, synthetic) -> None:
    click = click_on(synthetic, 1)
    queries = query_features(trained.gaussians, trained.frames, [click], 0)
    assert queries.norm(dim=1).item() == pytest.approx(1, abs=1e-5)
    frame = next(f for f in trained.frames if f.name == click.frame)
    similarity = photo_similarity(trained.gaussians, frame, queries)
    assert similarity[int(click.y), int(click.x)] == pytest.approx(1, abs=1e-5)
    assert similarity.max() <= 1 + 1e-5


def test_background_is_in_no_mask(trained: Scene, synthetic) -> None:
    """Even at the lowest threshold that a cosine of something can have."""
    queries = queries_of(trained, click_on(synthetic, 1))
    frame = trained.frames[0]
    similarity = photo_similarity(trained.gaussians, frame, queries)
    assert similarity[0, 0] == -1  # the sky
    assert similarity[-5, 48] > -1  # the ground


def test_more_clicks_add_up(trained: Scene, synthetic) -> None:
    one, two = click_on(synthetic, 1), click_on(synthetic, 2)
    together = photo_masks(trained.gaussians, trained.frames, queries_of(trained, one, two))
    apart = [
        photo_masks(trained.gaussians, trained.frames, queries_of(trained, c)) for c in (one, two)
    ]
    for (_, both), (_, first), (_, second) in zip(together, *apart, strict=True):
        assert np.array_equal(both, first | second)


def test_a_higher_threshold_gives_a_smaller_mask(trained: Scene, synthetic) -> None:
    queries = queries_of(trained, click_on(synthetic, 1))
    masks = [
        next(photo_masks(trained.gaussians, trained.frames, queries, threshold))[1]
        for threshold in (0.3, 0.7, 0.95)
    ]
    assert not (masks[1] & ~masks[0]).any() and not (masks[2] & ~masks[1]).any()
    assert masks[0].sum() > masks[2].sum() > 0


def distance_to_ball(scene: Scene, ball: int, geometry) -> torch.Tensor:
    center, radius = geometry[ball]
    return (scene.gaussians.means - torch.tensor(center)).norm(dim=1) - radius


@pytest.mark.parametrize("ball", BALLS)
def test_votes_select_the_gaussians_of_the_object(
    trained: Scene, synthetic, balls, ball: int
) -> None:
    training = [frame for frame in trained.frames if not frame.is_test]
    chosen = select_gaussians(
        trained.gaussians, training, queries_of(trained, click_on(synthetic, ball))
    )
    near = distance_to_ball(trained, ball, balls) < MARGIN
    assert (chosen & near).sum() > MIN_SELECTED_IN_BALL * chosen.sum()
    others = [b for b in BALLS if b != ball]
    for other in others:  # none of those deep in another ball
        assert not (chosen & (distance_to_ball(trained, other, balls) < -MARGIN)).any()


def test_own_features_select_as_the_paper_does(trained: Scene, synthetic) -> None:
    queries = queries_of(trained, click_on(synthetic, 1), click_on(synthetic, 2))
    chosen = select_gaussians(trained.gaussians, (), queries, 0.8, by="features")
    for index in range(0, len(trained.gaussians), 97):
        own = trained.gaussians.features[index]
        best = max(float(own @ query / own.norm()) for query in queries)
        assert chosen[index] == (best >= 0.8)


def test_what_no_view_sees_is_not_selected(trained: Scene, synthetic) -> None:
    far = dataclasses.replace(
        trained.gaussians, means=trained.gaussians.means + torch.tensor([0.0, 0.0, 1e4])
    )
    queries = queries_of(trained, click_on(synthetic, 1))
    training = [frame for frame in trained.frames if not frame.is_test]
    assert not select_gaussians(far, training, queries).any()
    assert not select_gaussians(trained.gaussians, (), queries).any()


def test_objects_asked_together_are_those_asked_one_by_one(trained: Scene, synthetic) -> None:
    training = [frame for frame in trained.frames if not frame.is_test]
    clicks = [click_on(synthetic, ball) for ball in BALLS]
    queries = [*[queries_of(trained, click) for click in clicks], queries_of(trained, *clicks)]
    together = select_objects(trained.gaussians, training, queries)
    for chosen, asked in zip(together.unbind(dim=1), queries, strict=True):
        assert torch.equal(chosen, select_gaussians(trained.gaussians, training, asked))
    assert select_objects(trained.gaussians, training, []).shape == (len(trained.gaussians), 0)


def refusal(scene: Scene, click: PointPrompt) -> str:
    with pytest.raises(SplatsegError) as caught:
        queries_of(scene, click)
    return str(caught.value)


@pytest.mark.parametrize(("x", "y"), [(96.0, 10.0), (10.0, 72.0), (-0.1, 10.0), (1e9, 1e9)])
def test_a_click_outside_the_photo_is_refused(trained: Scene, x: float, y: float) -> None:
    sentence = refusal(trained, PointPrompt("view_0", x, y))
    assert "lies outside view_0, whose photo is 96x72" in sentence


def test_the_photos_corners_are_inside(trained: Scene) -> None:
    frame = trained.frames[4]
    for x in (0.0, 95.999):
        queries_of(trained, PointPrompt(frame.name, x, 71.999))  # the ground fills the lower edge


def test_a_click_on_empty_background_is_refused(trained: Scene) -> None:
    sentence = refusal(trained, PointPrompt("view_0", 2.5, 2.5))
    assert "at 2.5,2.5 in view_0 is on empty background" in sentence


def test_a_click_in_an_unknown_frame_is_refused(trained: Scene) -> None:
    sentence = refusal(trained, PointPrompt("view_0.png", 2.5, 2.5))
    assert sentence == "there is no frame view_0.png; the scene has view_0, view_1, view_2, ..."


def test_a_scene_without_features_is_refused(trained: Scene, synthetic) -> None:
    bare = dataclasses.replace(trained.gaussians, features=torch.zeros(len(trained.gaussians), 0))
    scene = dataclasses.replace(trained, gaussians=bare)
    assert "no segmentation features" in refusal(scene, click_on(synthetic, 1))
