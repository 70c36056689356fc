import numpy as np
import pytest

from splatseg.lifting.holes import fill_holes


def digits(text: str) -> np.ndarray:
    return np.array([[int(digit) for digit in row] for row in text.split()])


SQUARE = np.pad(np.full((12, 12), 3), 4)
HOLED = SQUARE.copy()
HOLED[8, 8] = HOLED[11, 12] = 0
BETWEEN = np.repeat([[1] * 9 + [0] * 2 + [2] * 9], 20, axis=0)
CROSSED = digits("11111 11111 00200 11111 11111")


@pytest.mark.parametrize(
    ("labels", "weight", "filled"),
    [
        (HOLED, 1.0, SQUARE),  # and its edge stays
        (BETWEEN, 1.0, BETWEEN),
        (CROSSED, np.array([1, 1, 0.01, 1, 1])[:, None], digits("11111 11111 11211 11111 11111")),
        (digits("011"), 1.0, digits("011")),  # too few
        (np.ones((4, 4), int), 1.0, np.ones((4, 4), int)),
    ],
)
def test_holes_in_an_object_are_filled_by_the_weight_of_neighbors(labels, weight, filled) -> None:
    rows, columns = np.indices(labels.shape)
    points = np.stack([columns, rows, 0 * rows], axis=-1).reshape(-1, 3).astype(np.float32)
    weights = np.broadcast_to(weight, labels.shape).ravel().astype(np.float32)
    assert np.array_equal(fill_holes(labels.ravel(), points, weights), filled.ravel())
