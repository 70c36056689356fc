"""What a window's logits say is found at its place in the photo, and the other way round."""

from typing import Any

import numpy as np
import pytest

from splatseg.models.logit_mapping import LogitMapping, Window
from splatseg.models.segmenter import EncodedPhoto

WINDOW = Window(40, 20, 80, 60)
PHOTO = (100, 160)  # rows, columns


def mapping(
    window: Window = WINDOW, stride: float = 4, shape: tuple[int, int] = PHOTO
) -> LogitMapping:
    """A window whose logits are `stride` of its pixels apart, in a photo of 160x100."""
    content: Any = None
    encoded = EncodedPhoto(window.height, window.width, 1 / stride, 1 / stride, content)
    return LogitMapping(window, encoded, PHOTO, shape)


def logits(shape: tuple[int, int], *patches: tuple[slice, slice]) -> np.ndarray:
    """One map for each patch: 8 inside, -8 outside."""
    maps = np.full((len(patches), *shape), -8, dtype=np.float16)
    for one, patch in zip(maps, patches, strict=True):
        one[patch] = 8
    return maps


@pytest.mark.parametrize(
    ("window", "stride", "shape", "patch", "expected"),
    [
        (WINDOW, 4, PHOTO, np.s_[5:10, 2:8], np.s_[40:60, 48:72]),
        (WINDOW, 4, PHOTO, np.s_[:, :], np.s_[20:80, 40:120]),
        (WINDOW, 4, PHOTO, np.s_[0:0, 0:0], np.s_[0:0, 0:0]),
        (WINDOW, 4, (50, 80), np.s_[5:10, 2:8], np.s_[20:30, 24:36]),  # halved
        (
            Window(0, 0, 158, 98),
            4,
            PHOTO,
            np.s_[:, :],
            np.s_[:98, :158],
        ),  # overhangs
        (Window(81, 40, 1, 1), 0.25, (10, 16), np.s_[:, :], np.s_[0:0, 0:0]),  # less than a pixel
    ],
)
def test_masks_lie_where_their_logits_are(window, stride, shape, patch, expected):
    placed = mapping(window, stride, shape)
    rows, columns = (int(np.ceil(s / stride)) for s in (window.height, window.width))
    assert placed.logits_shape == (rows, columns)
    truth = np.zeros((1, *shape), dtype=bool)
    truth[0][expected] = True
    if expected == np.s_[40:60, 48:72]:  # interpolation rounds the corners
        truth[0, [40, 40, 59, 59], [48, 71, 48, 71]] = False
    np.testing.assert_array_equal(placed.masks(logits((rows, columns), patch)), truth)


def test_outlines_are_interpolated():
    """Between a center at 8 and one at -4 the outline is two thirds of the way."""
    placed = mapping(Window(0, 0, 160, 100), stride=10)
    ramp = np.full((1, 10, 16), -4, dtype=np.float16)
    ramp[0, :, :8] = 8
    (mask,) = placed.masks(ramp)
    # Centers at 75 and 85: the cut is at 81.67, and the last pixel's center before it at 81.5.
    assert mask[:, :82].all() and not mask[:, 82:].any()


@pytest.mark.parametrize("stride", [4, 80 / 11, 80 / 64])
def test_the_logits_that_cover_a_window_are_rounded_up(stride):
    expected = (int(np.ceil(60 / stride - 1e-9)), int(np.ceil(80 / stride - 1e-9)))
    assert mapping(stride=stride).logits_shape == expected


def test_counts_go_where_the_mask_is_and_are_found_there():
    placed = mapping()
    counts = np.zeros(PHOTO, dtype=np.int16)
    mask = logits((15, 20), np.s_[5:10, 2:8])[0] > 0
    placed.count(counts, mask)
    placed.count(counts, mask)
    expected = np.zeros(PHOTO, dtype=np.int16)
    expected[20 + 20 : 20 + 40, 40 + 8 : 40 + 32] = 2
    np.testing.assert_array_equal(counts, expected)
    points = np.array([[8.5, 20.5], [31.5, 39.5], [7.5, 20.5], [32.5, 39.5], [79.9, 59.9]])
    assert placed.looked_up(counts, points.astype(np.float32)).tolist() == [2, 2, 0, 0, 0]


@pytest.mark.parametrize("shape", [PHOTO, (50, 80)])
def test_what_one_window_counted_another_finds(shape):
    counts = np.zeros(shape, dtype=np.int16)
    whole = mapping(Window(0, 0, 160, 100), shape=shape)
    whole.count(counts, logits(whole.logits_shape, np.s_[10:15, 20:25])[0] > 0)
    point = np.array([[85.0 - 40, 45.0 - 20]], dtype=np.float32)
    assert mapping(shape=shape).looked_up(counts, point).tolist() == [1]


def test_boxes_are_in_the_windows_pixels():
    masks = logits((15, 20), np.s_[5:10, 2:8], np.s_[:, :], np.s_[14:, 19:]) > 0
    expected = [[8, 20, 32, 40], [0, 0, 80, 60], [76, 56, 80, 60]]
    np.testing.assert_array_equal(mapping().boxes(masks), expected)
    assert mapping().boxes(masks[:0]).shape == (0, 4)
    overhanging = mapping(Window(0, 0, 78, 58)).boxes(masks[1:2])
    np.testing.assert_array_equal(overhanging, [[0, 0, 78, 58]])


@pytest.mark.parametrize(
    ("window", "cut"),
    [
        (Window(0, 0, 160, 100), []),
        (Window(0, 0, 80, 60), ["right", "bottom"]),
        (Window(80, 40, 80, 60), ["left", "top"]),
        (Window(40, 20, 80, 60), ["left", "top", "right", "bottom"]),
        (Window(0, 0, 160, 60), ["bottom"]),
    ],
)
def test_what_a_border_within_the_photo_cuts(window, cut):
    placed = mapping(window)
    sides = {
        "left": np.s_[2:5, :3],
        "top": np.s_[:3, 2:5],
        "right": np.s_[2:5, -3:],
        "bottom": np.s_[-3:, 2:5],
        "nowhere": np.s_[3:5, 3:5],
    }
    masks = logits(placed.logits_shape, *sides.values()) > 0
    found = [side for side, is_cut in zip(sides, placed.is_cut(masks), strict=True) if is_cut]
    assert found == cut


def test_a_window_smaller_than_a_pixel_counts_nothing():
    counts = np.zeros((10, 16), dtype=np.int16)
    mapping(Window(81, 40, 1, 1), 0.25, (10, 16)).count(counts, np.ones((4, 4), dtype=bool))
    assert not counts.any()
