"""How a photo was taken, and the maps between the photo and the undistorted image.

Two frames of reference, both in pixels with centers at +0.5:

- **photo**: the photo as shipped in `images/`, lens distortion and all;
- **undistorted image**: the downscaled pinhole image of a `Camera`, free of distortion.

The ideal camera of a lens keeps the photo's size, focal length and principal point and drops the
distortion; an undistorted camera is the ideal camera at another size. So an undistorted image may
lack a strip of the photo's border, or reach beyond it. There colors repeat the border and labels
are 0.
"""

from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pycolmap
import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from splatseg.capture.resampling import pixel_map, resize, sample
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

# These are a pinhole when their distortion is zero. A fisheye with zero coefficients is not one.
PERSPECTIVE_MODELS = frozenset(
    {"SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"}
)

# Frames of a capture mostly share a lens, but a map for 12 megapixels holds 96 MB: keep one for
# each direction.
CACHED_MAPS = 2


@dataclass(frozen=True)
class Lens:
    """A COLMAP camera model with its parameters, for the photo as shipped in `images/`."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        names = parameter_names(self.model)
        if len(names) != len(self.params):
            raise SplatsegError(
                f"the {self.model} camera has {len(self.params)} parameters",
                expected=f"{len(names)} ({', '.join(names)})",
            )
        if not np.isfinite(self.params).all() or self.width <= 0 or self.height <= 0:
            raise SplatsegError(
                f"the {self.model} camera has size {self.width}x{self.height} and parameters "
                f"{self.params}",
                expected="a positive size and finite numbers",
            )
        fx, fy, _, _ = self.pinhole()
        if fx <= 0 or fy <= 0:
            raise SplatsegError(
                f"the {self.model} camera has focal length ({fx}, {fy})",
                expected="positive pixels",
            )

    @property
    def is_pinhole(self) -> bool:
        """Whether the photo is free of distortion."""
        distortion = self._colmap().extra_params_idxs()
        return self.model in PERSPECTIVE_MODELS and all(self.params[i] == 0 for i in distortion)

    def pinhole(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy) of the ideal camera, which has the photo's size."""
        camera = self._colmap()
        return (
            camera.focal_length_x,
            camera.focal_length_y,
            camera.principal_point_x,
            camera.principal_point_y,
        )

    def undistorted_camera(
        self, cam_from_world: Float[Tensor, "4 4"], width: int, height: int
    ) -> Camera:
        """The ideal camera at this pose, for an image of `width` x `height`."""
        ideal = Camera(cam_from_world, *self.pinhole(), self.width, self.height)
        return ideal.resized(width, height)

    def resized(self, width: int, height: int) -> "Lens":
        """The same lens for the photo at another size."""
        camera = self._colmap()
        camera.rescale(width, height)
        return Lens(self.model, width, height, tuple(camera.params.tolist()))

    def photo_from_undistorted(
        self, xy: Float[np.ndarray, "*points 2"], camera: Camera
    ) -> Float[np.ndarray, "*points 2"]:
        """Where points of the undistorted image lie on the photo (perhaps outside it)."""
        focal, center = (camera.fx, camera.fy), (camera.cx, camera.cy)
        rays = np.ones((xy.size // 2, 3))
        rays[:, :2] = (xy.reshape(-1, 2) - center) / focal
        return np.asarray(self._colmap().img_from_cam(rays)).reshape(xy.shape)

    def undistorted_from_photo(
        self, xy: Float[np.ndarray, "*points 2"], camera: Camera
    ) -> Float[np.ndarray, "*points 2"]:
        """Where points of the photo lie on the undistorted image; NaN where there is no answer."""
        rays = np.asarray(self._colmap().cam_from_img(xy.reshape(-1, 2)))
        return (rays * (camera.fx, camera.fy) + (camera.cx, camera.cy)).reshape(xy.shape)

    def warp_to_undistorted(
        self, image: Shaped[np.ndarray, "h w *c"], camera: Camera, nearest: bool
    ) -> Shaped[np.ndarray, "height width *c"]:
        """An image or mask of the photo, at any size of the photo's aspect, as `camera` sees it.

        Labels want `nearest`. A photo is undistorted at its own size, then shrunk, so that fine
        detail is averaged and not aliased. Warping ones with `nearest` tells what the photo covers.
        """
        if self.is_pinhole:
            return resize(image, camera.width, camera.height, nearest)
        h, w = image.shape[:2]
        grid = (camera.width, camera.height) if nearest else (w, h)
        photo_xy = _photo_map(self, *grid)
        if (w, h) != (self.width, self.height):
            photo_xy = photo_xy * np.array([w / self.width, h / self.height], dtype=np.float32)
        return resize(sample(image, photo_xy, nearest), camera.width, camera.height, nearest)

    def warp_to_photo(
        self, image: Shaped[np.ndarray, "h w *c"], nearest: bool
    ) -> Shaped[np.ndarray, "height width *c"]:
        """An undistorted image or mask, of whatever size, as it looks on the photo."""
        if self.is_pinhole:
            return resize(image, self.width, self.height, nearest)
        h, w = image.shape[:2]
        return sample(image, _undistorted_map(self, w, h), nearest)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict that `from_json` reads back exactly."""
        return asdict(self) | {"params": list(self.params)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Lens":
        """Rebuild a lens from `to_json`'s dict."""
        return Lens(data["model"], data["width"], data["height"], tuple(data["params"]))

    def _colmap(self) -> pycolmap.Camera:
        return pycolmap.Camera(
            model=self.model, width=self.width, height=self.height, params=list(self.params)
        )


@cache
def parameter_names(model: str) -> tuple[str, ...]:
    """The parameters of a camera model; refuses models that have no pinhole counterpart."""
    known = pycolmap.CameraModelId.__members__
    if model in known and model != "INVALID":
        camera = pycolmap.Camera(model=model, width=1, height=1, params=[])
        if len(camera.focal_length_idxs()) > 0:
            return tuple(camera.params_info.split(", "))
    raise SplatsegError(
        f"the camera model is {model}",
        expected=(
            "a model of COLMAP's that has a focal length, such as PINHOLE, "
            "SIMPLE_RADIAL, OPENCV or OPENCV_FISHEYE"
        ),
    )


@lru_cache(maxsize=CACHED_MAPS)
def _photo_map(lens: Lens, width: int, height: int) -> Float32[np.ndarray, "height width 2"]:
    """For every pixel of an undistorted image, where it lies on the photo."""
    camera = lens.undistorted_camera(torch.eye(4, dtype=torch.float64), width, height)
    return pixel_map(lambda xy: lens.photo_from_undistorted(xy, camera), width, height)


@lru_cache(maxsize=CACHED_MAPS)
def _undistorted_map(lens: Lens, width: int, height: int) -> Float32[np.ndarray, "rows columns 2"]:
    """For every pixel of the photo, where it lies on an undistorted image of `width` x `height`."""
    camera = lens.undistorted_camera(torch.eye(4, dtype=torch.float64), width, height)
    return pixel_map(lambda xy: lens.undistorted_from_photo(xy, camera), lens.width, lens.height)
