"""The cameras that masks and videos are rendered from."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.export.config import Viewpoints
from splatseg.export.path import flight, focus, turntable
from splatseg.geometry.camera import Camera
from splatseg.scene import Scene
from splatseg.segmentation.objects import bounds_of
from splatseg.segmentation.selection import SELECTED


def path_cameras(
    scene: Scene, viewpoints: Viewpoints, weights: Float[Tensor, " n"] | None
) -> Sequence[Camera]:
    """The cameras of a turntable or a flight, as large as the first undistorted image.

    Args:
        scene: The scene that they look at.
        viewpoints: Which path, and how many views. A path that is not "flight" is a turntable.
        weights: How much of each Gaussian belongs to what a turntable goes around, in [0, 1]; None
            for the point that the photos look at.

    Raises:
        SplatsegError: fewer than one view, or what `turntable` and `flight` refuse.
    """
    if viewpoints.views < 1:
        raise SplatsegError(f"`views` is {viewpoints.views}", expected="at least 1")
    training = [frame.camera for frame in scene.train]
    size = training[0].width, training[0].height
    if viewpoints.path == "flight":
        return flight(training, viewpoints.views, *size)
    if weights is None or not bool((weights >= SELECTED).any()):
        return turntable(training, focus(training), viewpoints.views, *size)
    low, high = bounds_of(scene.gaussians.select(weights >= SELECTED))
    center = ((low + high) / 2).double().cpu()
    radius = None if viewpoints.in_scene else float((high - low).norm() / 2)
    return turntable(training, center, viewpoints.views, *size, radius)
