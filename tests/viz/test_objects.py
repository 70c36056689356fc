"""Pictures of objects."""

import numpy as np
import pytest
import torch

from splatseg.viz.objects import THUMBNAIL, cut_out, label_montage, thumbnails
from splatseg.viz.pictures import HIGHLIGHT


@pytest.mark.parametrize("place", [np.s_[0:4, 0:6], np.s_[20:28, 10:40], np.s_[35:40, 50:60]])
def test_a_thumbnail_is_a_square_around_its_object(place):
    photo = np.full((40, 60, 3), 200, dtype=np.uint8)
    mask = np.zeros((40, 60), dtype=bool)
    mask[place] = True
    picture = cut_out(photo, mask)
    assert picture.shape == (THUMBNAIL, THUMBNAIL, 3)
    assert (picture == HIGHLIGHT).all(axis=-1).any()
    middle = picture[THUMBNAIL // 2, THUMBNAIL // 2]
    assert (middle >= 200).all()  # bright, and near the photo's edge ringing


def test_objects_without_a_best_view_have_no_thumbnail(trained):
    labels = torch.ones(len(trained.gaussians), dtype=torch.long)
    assert set(thumbnails(trained, labels, {1: "view_0", 2: "view_0", 3: None})) == {1}


def test_label_maps_stand_beside_their_photos(trained):
    maps = {"view_0": np.ones((72, 96), dtype=np.uint8), "view_3": np.zeros((72, 96), np.uint8)}
    picture = label_montage(trained, maps, 1, 100)
    assert picture.shape[1] > 2 * 100 and picture.shape[0] > 2 * 75
