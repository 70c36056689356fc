"""What a prompt or a mask lies on: a photo of the scene, or the image of any camera."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Frame, Lens
from splatseg.capture.resampling import resize
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.scene import Scene

View = str | Frame | Camera
"""Whose pixels are meant: a frame's name, for its photo as shipped; a frame, for a photo of its
lens's size; or a camera, for the image that it sees."""


@dataclass(frozen=True)
class ImagePlane:
    """The pixels of a view, and the undistorted image that is rendered for them."""

    name: str
    """The view's, in messages."""
    camera: Camera
    """Of the undistorted image."""
    lens: Lens | None
    """Of the photo; None where the pixels are the camera's own."""

    @staticmethod
    def of(scene: Scene, view: View) -> "ImagePlane":
        """Of a view of a scene.

        Raises:
            SplatsegError: the scene has no frame of this name.
        """
        if isinstance(view, Camera):
            return ImagePlane("the camera's image", view, None)
        frame = scene.frame(view) if isinstance(view, str) else view
        return ImagePlane(frame.name, frame.camera, frame.lens)

    @property
    def key(self) -> Hashable:
        """Equal for views with the same pixels."""
        return camera_key(self.camera), self.lens

    @property
    def width(self) -> int:
        """In pixels."""
        return self.camera.width if self.lens is None else self.lens.width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.camera.height if self.lens is None else self.lens.height

    def undistorted_pixel(self, x: float, y: float) -> Int[Tensor, " 2"]:
        """The column and row of the undistorted image under the point (x, y).

        Raises:
            SplatsegError: it lies outside the photo, or in the border that undistorting removes.
        """
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise SplatsegError(
                f"the click at {x:g},{y:g} lies outside {self.name}, which is "
                f"{self.width}x{self.height}",
                remedy="x counts from the left and y from the top",
            )
        xy = np.array([x, y])
        if self.lens is not None:
            xy = self.lens.undistorted_from_photo(xy, self.camera)
        size = (self.camera.width, self.camera.height)
        if not (np.isfinite(xy).all() and (xy >= 0).all() and (xy < size).all()):
            raise SplatsegError(
                f"the click at {x:g},{y:g} in {self.name} lies in the border that undistorting "
                "the photo removes",
                remedy="click further inside",
            )
        return torch.from_numpy(np.floor(xy)).to(torch.int32)

    def undistort(self, mask: Bool[np.ndarray, "h w"]) -> Bool[Tensor, "rows columns"]:
        """A mask of the whole view, of any size, as the camera sees it."""
        if self.lens is None:
            drawn = resize(mask, self.camera.width, self.camera.height, nearest=True)
        else:
            drawn = self.lens.warp_to_undistorted(mask, self.camera, nearest=True)
        return torch.from_numpy(np.array(drawn, dtype=bool))

    def distort(self, values: Float[Tensor, "rows columns"]) -> Float[np.ndarray, "h w"]:
        """Values of the undistorted image at the view's pixels; -1 where it does not reach."""
        image = values.cpu().numpy()
        if self.lens is None:
            return image
        warped = self.lens.warp_to_photo(image, nearest=False)
        if self.lens.is_pinhole:
            return warped
        reached = self.lens.warp_to_photo(np.ones(image.shape, dtype=bool), nearest=True)
        return np.where(reached, warped, np.float32(-1))


def camera_key(camera: Camera) -> Hashable:
    """Equal for cameras that see the same."""
    pose = tuple(camera.cam_from_world.flatten().tolist())
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy)
    return (pose, intrinsics, camera.width, camera.height, camera.near)
