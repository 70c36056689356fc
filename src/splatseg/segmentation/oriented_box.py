"""The box around an object, turned as the object lies.

Its axes are those for which the box has the least volume, found by small turns from several starts.
Outliers count for little: at both ends of a side the same fraction of the points' weight lies
outside.
The axes are right-handed, the longest side first; a box knows nothing of up and down.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

OUTSIDE = 0.02  # of the weight, at either end of a side: floaters would stretch the box
SAMPLES = 2000  # points that stand for all, as many for each as it has weight
FIRST_TURN = np.deg2rad(20.0)  # half-way between two starts, nearly
LAST_TURN = np.deg2rad(0.25)  # a box this far from the best is larger by less than 1 %
THIN = 1e-3  # of the longest side, added to all: a flat box has volume 0, however it is turned


@dataclass(frozen=True)
class OrientedBox:
    """A box in the world; lengths in world units."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    """Along the box's own axes, the longest first; 0 where the points are flat."""
    rotation: tuple[float, float, float, float]
    """wxyz of world_from_box, a unit quaternion."""

    @property
    def volume(self) -> float:
        """Cubic world units."""
        return float(np.prod(self.size))


def oriented_box(points: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, " n"]) -> OrientedBox:
    """The box around `points`, one or more, each of which counts by its weight, 0 or more.

    The same points always give the same box. Points in one place give one of size 0; on a line or a
    plane, one with sides of 0.
    """
    sample = _sample(points.astype(np.float64), weights.astype(np.float64))
    axes = _least_axes(sample - sample.mean(axis=0))
    low, high = _bounds(sample, axes)
    center = (low + high) / 2 @ axes
    order = np.argsort(low - high, kind="stable")
    x, y = (axis * np.sign(axis[np.abs(axis).argmax()]) for axis in axes[order[:2]])
    quat = Rotation.from_matrix(np.column_stack([x, y, np.cross(x, y)])).as_quat(
        canonical=True, scalar_first=True
    )
    return OrientedBox(_triple(center), _triple((high - low)[order]), tuple(quat.tolist()))


def _sample(
    points: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "m 3"]:
    """SAMPLES points, with repetitions, as many of each as its fraction of the weight."""
    total = np.cumsum(weights)
    marks = (np.arange(SAMPLES) + 0.5) / SAMPLES * total[-1]
    return points[np.searchsorted(total, marks)]


def _least_axes(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 3"]:
    """The axes, one a row, of the box of least volume around centered `points`."""
    principal = np.linalg.eigh(points.T @ points)[1].T
    turns = np.vstack([np.zeros(3), np.pi / 4 * np.eye(3)])
    starts = Rotation.from_rotvec(turns).as_matrix() @ principal
    found = np.stack([_descended(points, start) for start in starts])
    return found[_volumes(points, found).argmin()]


def _descended(
    points: Float[np.ndarray, "n 3"], axes: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "3 3"]:
    """The axes turned, ever less, for as long as that makes the box smaller."""
    directions = np.vstack([np.eye(3), -np.eye(3)])
    least, turn = _volumes(points, axes[None])[0], FIRST_TURN
    while turn > LAST_TURN:
        turned = Rotation.from_rotvec(turn * directions).as_matrix() @ axes
        volumes = _volumes(points, turned)
        if volumes.min() < least:
            axes, least = turned[volumes.argmin()], volumes.min()
        else:
            turn /= 2
    return axes


def _volumes(
    points: Float[np.ndarray, "n 3"], axes: Float[np.ndarray, "k 3 3"]
) -> Float[np.ndarray, " k"]:
    low, high = _bounds(points, axes)
    sides = high - low
    return (sides + THIN * sides.max(axis=1, keepdims=True)).prod(axis=1)


def _bounds(
    points: Float[np.ndarray, "n 3"], axes: Float[np.ndarray, "*k 3 3"]
) -> tuple[Float[np.ndarray, "*k 3"], Float[np.ndarray, "*k 3"]]:
    """Where boxes with these axes begin and end along them."""
    low, high = np.quantile(axes @ points.T, (OUTSIDE, 1 - OUTSIDE), axis=-1)
    return low, high


def _triple(values: Float[np.ndarray, " 3"]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return (x, y, z)
