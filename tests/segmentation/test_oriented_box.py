"""The oriented box of points whose box is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from splatseg.segmentation.oriented_box import OUTSIDE, SAMPLES, OrientedBox, oriented_box

SIDES = np.array([1.0, 0.6, 0.35])
KEPT = 1 - 2 * OUTSIDE  # of a side along which the weight is even
ANGLE = 2.0  # degrees: the measured error is 1 with noise of 1 % of the longest side and outliers
LENGTH = 0.04  # of the longest side, likewise


def surface(seed: int, count: int = SAMPLES) -> np.ndarray:
    """Points all over the surface of a box of SIDES around the origin, along the world's axes."""
    random = np.random.default_rng(seed)
    areas = np.repeat(SIDES.prod() / SIDES, 2)
    faces = random.choice(6, count, p=areas / areas.sum())
    points = random.uniform(-0.5, 0.5, (count, 3))
    points[np.arange(count), faces // 2] = np.where(faces % 2, 0.5, -0.5)
    return points * SIDES


def axes_of(box: OrientedBox) -> np.ndarray:
    """Columns: the box's axes in the world."""
    return Rotation.from_quat(box.rotation, scalar_first=True).as_matrix()


def angle_between(box: OrientedBox, rotation: np.ndarray) -> float:
    """Degrees between the axes of two boxes, whose axes may point either way."""
    cosines = np.abs((axes_of(box) * rotation).sum(axis=0))
    return float(np.degrees(np.arccos(cosines.clip(0, 1))).max())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**16))
def test_a_turned_box_with_noise_and_outliers_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    center = random.normal(size=3)
    points = surface(seed) + 0.01 * random.normal(size=(SAMPLES, 3))
    points[: SAMPLES // 50] = random.uniform(-1, 1, (SAMPLES // 50, 3))
    box = oriented_box(points @ rotation.T + center, random.uniform(0.5, 1, SAMPLES))
    assert angle_between(box, rotation) < ANGLE
    np.testing.assert_allclose(box.center, center, atol=LENGTH)
    np.testing.assert_allclose(box.size, SIDES, atol=2 * LENGTH)
    assert box.volume == pytest.approx(np.prod(box.size))
    assert np.linalg.norm(box.rotation) == pytest.approx(1) and box.rotation[0] >= 0


def test_weight_is_repetition_and_points_of_no_weight_do_not_count() -> None:
    few, counts = surface(1)[:40], np.arange(40)
    repeated = oriented_box(np.repeat(few, counts, axis=0), np.ones(counts.sum()))
    assert oriented_box(few, counts.astype(float)) == repeated


def test_one_point_a_line_and_a_plane() -> None:
    one = oriented_box(np.array([[1.0, 2.0, 3.0]]), np.ones(1))
    assert one == OrientedBox((1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    along = np.array([2.0, -1.0, 2.0]) / 3
    line = oriented_box(np.linspace(-1, 1, 4001)[:, None] * along, np.ones(4001))
    np.testing.assert_allclose(line.size, [2 * KEPT, 0, 0], atol=1e-3)
    assert abs(axes_of(line)[:, 0] @ along) == pytest.approx(1, abs=1e-4)
    turn = Rotation.from_rotvec([0.4, 0.1, -0.7]).as_matrix()
    flat = np.random.default_rng(0).uniform(-0.5, 0.5, (SAMPLES, 3)) * [2, 1, 0]
    plane = oriented_box(flat @ turn.T, np.ones(len(flat)))
    np.testing.assert_allclose(plane.size, [2 * KEPT, KEPT, 0], atol=LENGTH)
    assert angle_between(plane, turn) < ANGLE


def test_the_box_moves_turns_and_grows_with_its_points() -> None:
    points, weights = surface(0), np.ones(SAMPLES)
    turn = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    before = oriented_box(points, weights)
    after = oriented_box(3 * points @ turn.T + [1.0, 2.0, 3.0], weights)
    assert angle_between(after, turn @ axes_of(before)) < 0.5
    np.testing.assert_allclose(after.size, 3 * np.array(before.size), rtol=0.01)
    np.testing.assert_allclose(after.center, 3 * turn @ before.center + [1, 2, 3], atol=0.01)


def test_a_sliver_of_weight_far_away_does_not_stretch_the_box() -> None:
    points, weights = surface(2), np.ones(SAMPLES)
    points[:10] = 1000.0
    np.testing.assert_allclose(oriented_box(points, weights).size, SIDES, atol=LENGTH)
