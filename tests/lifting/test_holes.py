import numpy as np

from splatseg.lifting.holes import fill_holes


def grid(size: int) -> np.ndarray:
    """Points of a plane, row by row."""
    rows, columns = np.mgrid[:size, :size]
    return np.stack([columns, rows, 0 * rows], axis=-1).reshape(-1, 3).astype(np.float32)


def test_a_hole_in_an_object_is_filled_and_its_edge_stays() -> None:
    truth = np.zeros((20, 20), dtype=np.int64)
    truth[4:16, 4:16] = 3
    holed = truth.copy()
    holed[8, 8] = holed[11, 12] = 0
    ones = np.ones(400, np.float32)
    assert (fill_holes(holed.ravel(), grid(20), ones).reshape(20, 20) == truth).all()


def test_what_lies_between_two_objects_is_left() -> None:
    labels = np.ones((20, 20), dtype=np.int64)
    labels[:, 10:] = 2
    labels[:, 9:11] = 0
    ones = np.ones(400, np.float32)
    assert (fill_holes(labels.ravel(), grid(20), ones) == labels.ravel()).all()


def test_neighbors_count_by_weight() -> None:
    labels = np.ones((5, 5), dtype=np.int64)
    labels[2] = 0
    labels[2, 2] = 2
    weight = np.ones((5, 5), np.float32)
    weight[2] = 0.01
    filled = fill_holes(labels.ravel(), grid(5), weight.ravel()).reshape(5, 5)
    assert filled[2].tolist() == [1, 1, 2, 1, 1]


def test_few_gaussians_or_none_without_an_object() -> None:
    few = np.array([0, 1, 1])
    assert fill_holes(few, grid(2)[:3], np.ones(3, np.float32)).tolist() == [0, 1, 1]
    full = np.ones(16, dtype=np.int64)
    assert fill_holes(full, grid(4), np.ones(16, np.float32)).tolist() == full.tolist()
