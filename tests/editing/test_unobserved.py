"""Unobserved regions behind a ball of the true scene."""

import dataclasses

import numpy as np
import torch

from splatseg.editing.unobserved import find_unobserved
from splatseg.viz.edits import HATCH, hatched


def removed(true_scene, frames):
    gaussians, labels = true_scene
    return find_unobserved(gaussians, (labels == 1).float(), gaussians.select(labels != 1), frames)


def test_one_photo_shows_nothing_behind_a_ball_and_many_show_most(true_scene, views):
    training = [frame for frame in views if not frame.is_test]
    one, all_views = removed(true_scene, training[:1]), removed(true_scene, views)
    assert one.fraction > 0.8  # the outline is translucent
    assert 0 < all_views.fraction < 0.6
    assert set(all_views.masks) == {frame.name for frame in views}


def test_only_pixels_of_the_ball_are_unobserved(true_scene, views, synthetic):
    unobserved = removed(true_scene, views)
    for name, truth in synthetic.truth.items():
        assert not bool(unobserved.masks[name].numpy()[truth > 1].any())
    labels = true_scene[1]
    ground_only = labels[labels != 1][unobserved.gaussians]
    assert len(ground_only) > 0 and not bool(ground_only.any())


def test_held_out_views_and_objects_that_no_view_shows_hide_nothing(true_scene, views):
    training, held_out = views[0], dataclasses.replace(views[5], is_test=True)
    with_other, alone = (removed(true_scene, v) for v in ([training, held_out], [training]))
    assert torch.equal(with_other.masks[training.name], alone.masks[training.name])
    gaussians = true_scene[0]
    nothing = find_unobserved(gaussians, torch.zeros(len(gaussians)), gaussians, views[:2])
    assert nothing.fraction == 0 and not bool(nothing.gaussians.any())


def test_hatching_stays_inside_its_mask():
    image = np.full((40, 60, 3), 100, np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:40] = True
    drawn = hatched(image, mask)
    assert (drawn[~mask] == 100).all() and (drawn[mask] != 100).any(axis=-1).all()
    assert (drawn[mask] == HATCH).all(axis=-1).any()
