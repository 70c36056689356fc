"""Where a photo and its points lie on a model's square."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatseg.models.input_transform import InputTransform, prompt_coords

SIDES = st.integers(1, 5000)


@given(height=SIDES, width=SIDES, side=st.sampled_from([256, 1008, 1024]))
def test_the_longest_side_fills_the_square(height, width, side):
    rows, columns = InputTransform(side, is_squashed=False).covered(height, width)
    assert max(rows, columns) == side
    # SAM's own formula, in floating point.
    scale = side / max(height, width)
    for found, size in ((rows, height), (columns, width)):
        assert found in (max(1, int(size * scale + 0.5)), max(1, round(size * scale)))
    assert InputTransform(side, is_squashed=True).covered(height, width) == (side, side)


@given(height=SIDES, width=SIDES, is_squashed=st.booleans())
def test_the_logits_of_a_photo_reach_its_last_pixel_and_no_further(height, width, is_squashed):
    transform = InputTransform(1024, is_squashed)
    photo = transform.encoded(height, width, 256, None)
    rows, columns = transform.logits_covered(height, width, 256)
    for count, size, scale in ((rows, height, photo.scale_y), (columns, width, photo.scale_x)):
        assert 1 <= count <= 256
        assert count - 1 < size * scale + 1e-6 and size * scale <= count + 1e-6


def test_a_photo_is_resized_and_padded():
    ramp = np.tile(np.linspace(0, 255, 200)[None, :, None], (100, 1, 3)).astype(np.uint8)
    transform = InputTransform(64, is_squashed=False)
    small = transform.resize(ramp)
    assert small.shape == (32, 64, 3)
    np.testing.assert_allclose(small[0, :, 0], 255 * (np.arange(64) + 0.5) / 64, atol=2)
    padded = transform.pad(small)
    np.testing.assert_array_equal(padded[:32], small)
    assert padded.shape == (64, 64, 3) and not padded[32:].any()
    assert InputTransform(64, is_squashed=True).resize(ramp).shape == (64, 64, 3)


def test_part_of_a_photo_need_not_be_copied():
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    part, transform = photo[10:50, 20:60], InputTransform(32, is_squashed=False)
    np.testing.assert_array_equal(transform.resize(part), transform.resize(part.copy()))


@pytest.mark.parametrize("is_squashed", [False, True])
def test_points_go_where_their_pixels_go(is_squashed):
    transform = InputTransform(1024, is_squashed)
    photo = transform.encoded(300, 400, 256, None)
    points = np.array([[[0, 0], [400, 300], [200, 75]]], dtype=np.float32)
    # The model adds half a pixel.
    found = prompt_coords(photo, points, 4.0) + 0.5
    height = 1024 if is_squashed else 768
    expected = [[[0, 0], [1024, height], [512, height / 4]]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
