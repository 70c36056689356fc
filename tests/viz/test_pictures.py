"""Pictures: palettes, highlights, contact sheets, and feature colors of any input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.images import scaled, to_uint8
from splatseg.masks import Segments
from splatseg.segmentation import FeatureMap
from splatseg.viz.features import FeatureColors
from splatseg.viz.labels import BACKGROUND, label_palette, number_labels, paint_labels
from splatseg.viz.montages import MARGIN, montage
from splatseg.viz.pictures import DIMMED, HIGHLIGHT, highlight, mark
from splatseg.viz.segments import OUTLINE_STRENGTH, TINT, paint_segments

MIN_NEIGHBOR_DISTANCE = 100  # in RGB, of ids that follow each other; below, hues look alike
MIN_DISTANCE = 20  # in RGB, of any two of 24 ids
MANY = 24


def rgb(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def distances(colors: np.ndarray) -> np.ndarray:
    difference = colors[:, None].astype(int) - colors[None].astype(int)
    return np.sqrt((difference**2).sum(axis=-1))


def test_the_palettes_colors_differ() -> None:
    palette = label_palette(MANY)
    assert palette.shape == (MANY + 1, 3)
    apart = distances(palette)
    assert apart[~np.eye(MANY + 1, dtype=bool)].min() > MIN_DISTANCE
    assert np.diagonal(apart, offset=1).min() > MIN_NEIGHBOR_DISTANCE


def test_hundreds_of_ids_have_a_color_of_their_own() -> None:
    assert len(np.unique(label_palette(300), axis=0)) == 301


def test_an_id_keeps_its_color_whatever_the_count() -> None:
    assert np.array_equal(label_palette(50)[:8], label_palette(7))
    assert label_palette(0).tolist() == [list(BACKGROUND)]


def test_labels_are_painted_with_the_palette() -> None:
    labels = np.array([[0, 2], [1, 2]], dtype=np.int64)
    assert np.array_equal(paint_labels(labels, 2), label_palette(2)[labels])


def test_bytes_are_clipped_and_rounded() -> None:
    image = torch.tensor([[[-1.0, 0.5, 2.0]]], requires_grad=True)
    assert to_uint8(image).tolist() == [[[0, 128, 255]]]


def test_a_highlight_keeps_the_inside_and_dims_the_outside() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:12, 8:20] = True
    image = rgb(20, 30)
    shown = highlight(image, mask)
    assert shown.shape == image.shape and shown.dtype == np.uint8
    assert (shown[mask] == 200).all()
    assert tuple(shown[4, 10]) == tuple(shown[13, 10]) == HIGHLIGHT
    assert tuple(shown[14, 10]) != HIGHLIGHT
    assert (shown[0, 0] == int(200 * DIMMED)).all()
    assert (image == 200).all()  # the input is left alone


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_of_nothing_or_all_has_no_outline(value: bool) -> None:
    shown = highlight(rgb(6, 9), np.full((6, 9), value))
    assert (shown == (200 if value else int(200 * DIMMED))).all()


def test_a_mark_rings_its_point() -> None:
    image = rgb(100, 200)
    marked = mark(image, 50.5, 40.5)
    changed = np.argwhere((marked != image).any(axis=-1))
    low, high = changed.min(axis=0), changed.max(axis=0)
    assert np.abs((low + high) / 2 - (40.5, 50.5)).max() <= 1
    assert (marked[40, 50] == 200).all()  # what was clicked on stays visible
    assert (image == 200).all()
    mark(image, 199.9, 0.0)  # partly outside


def test_labels_are_numbered_where_there_is_room() -> None:
    labels = np.zeros((100, 200), dtype=np.int64)
    labels[20:80, 20:80] = 12
    labels[2:5, 150:190] = 3  # too flat for a number
    image = rgb(100, 200)
    numbered = number_labels(image, labels)
    changed = np.argwhere((numbered != image).any(axis=-1))
    assert np.abs(changed.mean(axis=0) - (49.5, 49.5)).max() < 4
    assert (labels[tuple(changed.T)] == 12).all()
    assert np.array_equal(number_labels(image, np.zeros_like(labels)), image)


def nested() -> Segments:
    """A whole at the left edge, and a part that shares its upper border."""
    masks = np.zeros((2, 30, 40), dtype=bool)
    masks[0, 10:20, 20:30] = masks[1, 10:28, :30] = True
    return Segments.from_masks(masks)


def test_segments_are_tinted_and_outlined_in_their_colors() -> None:
    photo = rgb(30, 40, 100)
    painted = paint_segments(photo, nested())
    colors = label_palette(2).astype(float)
    tints = (1 - TINT) * 100 + TINT * colors
    outlines = 255 - OUTLINE_STRENGTH * (255 - colors)
    assert (photo == 100).all()  # the input is left alone
    assert np.abs(painted[15, 25] - tints[1]).max() <= 1  # the innermost tints
    assert np.abs(painted[23, 10] - tints[2]).max() <= 1
    assert (painted[5, 5] == 100).all() and (painted[15, 35] == 100).all()
    whole = [(27, 10), (25, 10), (11, 10), (12, 25)]  # thick: beside the part's above
    part = [(10, 25), (11, 25), (15, 20), (19, 25), (15, 29)]
    for index, places in ((1, part), (2, whole)):
        for place in places:
            assert np.abs(painted[place] - outlines[index]).max() <= 1, place
    assert np.abs(painted[20, 0] - tints[2]).max() <= 1  # the photo's edge has no outline


def test_masks_of_another_size_are_scaled_to_the_photo() -> None:
    doubled = paint_segments(rgb(60, 80), nested())
    assert np.array_equal(doubled, paint_segments(rgb(60, 80), nested().resized(60, 80)))
    assert doubled.shape == (60, 80, 3)


def test_a_photo_without_masks_is_shown_as_it_is() -> None:
    for masks in (np.zeros((0, 6, 9), dtype=bool), np.zeros((2, 6, 9), dtype=bool)):
        assert (paint_segments(rgb(6, 9), Segments.from_masks(masks)) == 200).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([1, 64, 201]),
)
def test_a_contact_sheet_holds_its_cells(
    rows: int, columns: int, height: int, width: int, cell: int
) -> None:
    images = [[rgb(height, width)] * columns for _ in range(rows)]
    sheet = montage(images, ["photo"] * columns, cell)
    assert sheet.shape[1] == columns * (cell + MARGIN) + MARGIN
    cell_height = scaled(images[0][0], cell).shape[0]
    assert sheet.shape[0] > rows * (cell_height + MARGIN)
    last = sheet[-MARGIN - cell_height : -MARGIN, -MARGIN - cell : -MARGIN]
    assert (last == 200).all()
    assert (sheet[-MARGIN:] == BACKGROUND).all()


def test_a_sheet_may_end_in_a_short_row() -> None:
    sheet = montage([[rgb(10, 10)] * 3, [rgb(10, 10)]], ["one caption for all"], 50)
    assert (sheet[-MARGIN - 50 : -MARGIN, MARGIN : MARGIN + 50] == 200).all()
    assert (sheet[-MARGIN - 50 : -MARGIN, -MARGIN - 50 :] == BACKGROUND).all()


def test_a_scaled_picture_keeps_its_proportions() -> None:
    assert scaled(rgb(30, 40), 80).shape == (60, 80, 3)
    assert scaled(rgb(1, 500), 10).shape == (1, 10, 3)


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=-1)


def test_feature_colors_tell_clusters_apart() -> None:
    axes = torch.eye(16)[:3]
    random = torch.Generator().manual_seed(0)
    samples = unit(axes.repeat(50, 1) + 0.02 * torch.randn(150, 16, generator=random))
    colors = FeatureColors.fit(samples)
    shown = colors.paint(FeatureMap(axes[None], torch.ones(1, 3, dtype=torch.bool)))
    assert distances(shown[0])[~np.eye(3, dtype=bool)].min() > MIN_NEIGHBOR_DISTANCE


def test_what_is_not_covered_is_background() -> None:
    features = unit(torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(0)))
    covered = torch.zeros(4, 5, dtype=torch.bool)
    covered[0, 0] = True
    shown = FeatureColors.fit(features.flatten(0, 1)).paint(FeatureMap(features, covered))
    assert (shown[~covered.numpy()] == BACKGROUND).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.integers(1, 6), st.booleans())
def test_any_samples_give_colors(count: int, channels: int, equal: bool) -> None:
    """None, fewer than three, fewer dimensions than three, or one feature everywhere."""
    random = torch.Generator().manual_seed(10 * count + channels)
    samples = unit(torch.randn(count, channels, generator=random))
    if equal and count:
        samples = samples[:1].repeat(count, 1)
    colors = FeatureColors.fit(samples)
    image = unit(torch.randn(3, 4, channels, generator=random))
    shown = colors.paint(FeatureMap(image, torch.ones(3, 4, dtype=torch.bool)))
    assert shown.shape == (3, 4, 3) and shown.dtype == np.uint8
