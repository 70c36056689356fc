"""Lens maps: round trips, a slow twin of the undistortion, and what warps keep."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.capture import Lens, resampling
from splatseg.capture.resampling import pixel_centers, pixel_map, resize, sample
from splatseg.errors import SplatsegError

ROUND_TRIP_PIXELS = 1e-6  # COLMAP's own undistortion stops iterating at about 1e-7
BLEND_LEVELS = 1.0  # of 255: float32 against float64, and rounding
POSE = torch.eye(4, dtype=torch.float64)
OPENCV = Lens("OPENCV", 64, 48, (60.0, 61.0, 31.0, 25.0, -0.12, 0.03, 0.004, -0.003))
FISHEYE = Lens("OPENCV_FISHEYE", 64, 48, (40.0, 41.0, 33.0, 23.0, 0.02, -0.01, 0.0, 0.0))

repeatable = settings(derandomize=True, deadline=None, max_examples=40)
small = st.floats(-0.05, 0.05)

EXTRA = (("SIMPLE_PINHOLE", 0), ("PINHOLE", 0), ("SIMPLE_RADIAL", 1), ("RADIAL", 2), ("OPENCV", 4))
MODELS = dict([*EXTRA, ("FULL_OPENCV", 8), ("OPENCV_FISHEYE", 4)])  # distortion parameters


@st.composite
def lens_arguments(draw):
    """Not the lens itself: its run-time type checks draw random numbers, as a strategy may not."""
    model = draw(st.sampled_from(sorted(MODELS)))
    focal = [80.0] if model in {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"} else [80.0, 84.0]
    extra = draw(st.lists(small, min_size=MODELS[model], max_size=MODELS[model]))
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    return model, width, height, (*focal, width / 2 + 1, height / 2 - 1, *extra)


@repeatable
@given(lens_arguments(), st.integers(1, 90), st.integers(1, 90), st.integers(0, 20))
def test_points_come_back(arguments, width, height, count):
    lens = Lens(*arguments)
    camera = lens.undistorted_camera(POSE, width, height)
    assert Lens.from_json(lens.to_json()) == lens
    xy = np.random.default_rng(0).uniform(size=(count, 2)) * (width, height)
    back = lens.undistorted_from_photo(lens.photo_from_undistorted(xy, camera), camera)
    assert np.abs(back - xy).max(initial=0) < ROUND_TRIP_PIXELS
    center = lens.photo_from_undistorted(np.array([camera.cx, camera.cy]), camera)
    np.testing.assert_allclose(center, lens.pinhole()[2:], atol=ROUND_TRIP_PIXELS)


def test_is_pinhole():
    pinholes = [("PINHOLE", (9.0, 8.0, 2.0, 3.0)), ("SIMPLE_RADIAL", (9.0, 2.0, 3.0, 0.0))]
    assert all(Lens(model, 4, 6, params).is_pinhole for model, params in pinholes)
    fisheye = Lens("OPENCV_FISHEYE", 4, 6, (9.0, 8.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0))
    others = [fisheye, Lens("OPENCV", 4, 6, (9.0, 8.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1e-9))]
    assert not any(lens.is_pinhole for lens in others)


@pytest.mark.parametrize("lens", [OPENCV, FISHEYE])
def test_labels_follow_the_lens(lens):
    labels = np.random.default_rng(0).integers(1, 900, size=(48, 64)).astype(np.uint16)
    camera = lens.undistorted_camera(POSE, 32, 24)
    warped = lens.warp_to_undistorted(labels, camera, nearest=True)
    xy = lens.photo_from_undistorted(pixel_centers(32, 24), camera)
    for row in range(24):
        for column in range(32):
            x, y = np.floor(xy[row, column]).astype(int)
            inside = 0 <= x < 64 and 0 <= y < 48
            assert warped[row, column] == (labels[y, x] if inside else 0)


def test_a_pinhole_photo_at_its_own_size_is_untouched(maker):
    lens = Lens("SIMPLE_PINHOLE", 64, 48, (50.0, 32.0, 24.0))
    image = maker.pattern(64, 48)
    camera = lens.undistorted_camera(POSE, 64, 48)
    assert lens.warp_to_undistorted(image, camera, nearest=False) is image
    assert lens.warp_to_photo(image, nearest=True) is image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 5)])
@pytest.mark.parametrize("nearest", [True, False])
def test_type_and_channels_are_kept(dtype, shape, nearest):
    image = (np.random.default_rng(0).uniform(size=shape) * 2).astype(dtype)
    camera = OPENCV.undistorted_camera(POSE, 33, 25)
    warped = OPENCV.warp_to_undistorted(image, camera, nearest)
    assert (warped.shape, warped.dtype) == ((25, 33, *shape[2:]), image.dtype)
    assert image.min() <= warped.min() and warped.max() <= image.max()


@pytest.mark.parametrize(
    ("model", "params", "sentence"),
    [
        ("EQUIRECTANGULAR", (4, 6), "the camera model is EQUIRECTANGULAR; expected a model"),
        ("MAGIC", (4,), "the camera model is MAGIC; expected a model of COLMAP's"),
        ("INVALID", (), "the camera model is INVALID"),
        ("PINHOLE", (4, 6), r"the PINHOLE camera has 2 parameters; expected 4 \(fx, fy, cx, cy\)"),
        ("PINHOLE", (-4, 6, 1, 1), r"focal length \(-4.0, 6.0\); expected positive pixels"),
        ("PINHOLE", (4, 6, np.nan, 1), "expected a positive size and finite numbers"),
    ],
)
def test_unusable_lenses(model, params, sentence):
    with pytest.raises(SplatsegError, match=sentence):
        Lens(model, 4, 6, tuple(map(float, params)))


def slow_undistortion(lens, image):
    """OPENCV's distortion from its definition, and bilinear blending, pixel by pixel."""
    fx, fy, cx, cy, k1, k2, p1, p2 = lens.params
    h, w = image.shape[:2]
    result = np.zeros(image.shape)
    for row, column in np.ndindex(h, w):
        x, y = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2 * r2
        u = fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx - 0.5
        v = fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + cy - 0.5
        u, v = min(max(u, 0.0), w - 1.0), min(max(v, 0.0), h - 1.0)
        left, top = min(int(u), w - 2), min(int(v), h - 2)
        du, dv = u - left, v - top
        upper = image[top, left] * (1 - du) + image[top, left + 1] * du
        lower = image[top + 1, left] * (1 - du) + image[top + 1, left + 1] * du
        result[row, column] = upper * (1 - dv) + lower * dv
    return result


def test_undistortion_against_a_slow_loop(maker):
    image = maker.pattern(64, 48)
    camera = OPENCV.undistorted_camera(POSE, 64, 48)
    warped = OPENCV.warp_to_undistorted(image, camera, nearest=False)
    expected = slow_undistortion(OPENCV, image.astype(float))
    assert np.abs(warped - expected).max() <= BLEND_LEVELS
    assert np.abs(warped - image.astype(float)).max() > 10 * BLEND_LEVELS  # and it did something


def test_masks_at_half_size_land_in_the_same_place_and_only_where_the_photo_reaches():
    mask = np.zeros((24, 32), dtype=bool)
    mask[8:15, 10:20] = True
    camera = OPENCV.undistorted_camera(POSE, 64, 48)
    half, full = (
        OPENCV.warp_to_undistorted(each, camera, nearest=True)
        for each in (mask, mask.repeat(2, axis=0).repeat(2, axis=1))
    )
    np.testing.assert_array_equal(half, full)
    zoomed = Lens("SIMPLE_RADIAL", 64, 48, (60.0, 32.0, 24.0, 0.5))  # reaches beyond the photo
    camera = zoomed.undistorted_camera(POSE, 64, 48)
    covered = zoomed.warp_to_undistorted(np.ones((48, 64), dtype=bool), camera, nearest=True)
    assert covered[24, 32] and not covered[0, 0]


@pytest.mark.parametrize("nearest", [True, False])
def test_resize_keeps_a_constant_places_a_step_and_averages(nearest):
    step = np.zeros((1, 12))
    step[:, 6:] = 1
    np.testing.assert_allclose(resize(step, 4, 3, nearest)[:, [0, 3]], [[0, 1]] * 3, atol=0.1)
    assert (resize(np.full((5, 7), 3.0), 4, 9, nearest) == 3).all()
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (40, 20))
    middle = resize(stripes, 10, 10, nearest)[3:-3, 3:-3].astype(float)
    assert nearest or np.abs(middle - 127.5).max() <= 1


@pytest.mark.parametrize("band", [1, 100, 64 * 48])
def test_bands_of_rows_add_up(monkeypatch, band):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    camera = OPENCV.undistorted_camera(POSE, 33, 25)

    def sampled():
        whole = pixel_map(lambda xy: OPENCV.photo_from_undistorted(xy, camera), 33, 25)
        return [whole, *(sample(image, whole, nearest) for nearest in (False, True))]

    expected = sampled()
    at = OPENCV.photo_from_undistorted(pixel_centers(33, 25), camera).astype(np.float32)
    np.testing.assert_array_equal(expected[0], at)
    monkeypatch.setattr(resampling, "BAND_PIXELS", band)
    for found, once in zip(sampled(), expected, strict=True):
        np.testing.assert_array_equal(found, once)


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize(
    "lens", [OPENCV, FISHEYE, Lens("PINHOLE", 64, 48, (50.0, 50.0, 32.0, 24.0))]
)
def test_there_and_back_keeps_the_middle(lens, nearest, maker):
    camera = lens.undistorted_camera(POSE, 128, 96)
    image = maker.pattern(64, 48)
    back = lens.warp_to_photo(lens.warp_to_undistorted(image, camera, nearest), nearest)
    assert back.shape == image.shape
    difference = np.abs(back.astype(float) - image)[8:-8, 8:-8]
    # The pattern changes by up to 20 levels a pixel, and nearest sampling moves by half of one.
    assert difference.max() <= (20 if nearest else 4)
