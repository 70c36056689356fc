"""Image samples at pixel coordinates, and images at other sizes.

Coordinates are (x, y) in pixels with centres at +0.5, so scaling an image by a factor scales its
coordinates by the same factor. Images are numpy arrays, `h w` or `h w c`, of any real type; the
result has the type of the input.

`nearest` is for labels: nothing is blended, and what lies outside the image is 0 (unlabelled).
Otherwise values are interpolated and the border is repeated outwards.
"""

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

OUTSIDE = -1.0  # a pixel coordinate outside every image: stands for "no such point" (NaN)


def pixel_centres(width: int, height: int) -> Float[np.ndarray, "h w 2"]:
    """The coordinates of every pixel's centre."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


def sample(
    image: Shaped[np.ndarray, "h w *c"], xy: Float[np.ndarray, "rows columns 2"], nearest: bool
) -> Shaped[np.ndarray, "rows columns *c"]:
    """The image's values at `xy`; a NaN coordinate counts as outside."""
    xy = np.nan_to_num(xy, nan=OUTSIDE, posinf=OUTSIDE, neginf=OUTSIDE)
    return _sample_nearest(image, xy) if nearest else _sample_bilinear(image, xy)


def resize(
    image: Shaped[np.ndarray, "h w *c"], width: int, height: int, nearest: bool
) -> Shaped[np.ndarray, "height width *c"]:
    """The image at another size; shrinking averages over the area that a new pixel covers."""
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    if nearest:
        x = ((np.arange(width) + 0.5) * w / width).astype(np.int64)
        y = ((np.arange(height) + 0.5) * h / height).astype(np.int64)
        return image[y[:, None], x]
    planes = functional.interpolate(
        _planes(image), (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return _image(planes, like=image)


def _sample_nearest(
    image: Shaped[np.ndarray, "h w *c"], xy: Float[np.ndarray, "rows columns 2"]
) -> Shaped[np.ndarray, "rows columns *c"]:
    h, w = image.shape[:2]
    x, y = np.moveaxis(np.floor(xy).astype(np.int64), -1, 0)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    result = np.zeros(xy.shape[:2] + image.shape[2:], dtype=image.dtype)
    result[inside] = image[y[inside], x[inside]]
    return result


def _sample_bilinear(
    image: Shaped[np.ndarray, "h w *c"], xy: Float[np.ndarray, "rows columns 2"]
) -> Shaped[np.ndarray, "rows columns *c"]:
    h, w = image.shape[:2]
    # grid_sample's -1 and 1 are the outer edges of the border pixels (align_corners=False).
    grid = torch.from_numpy((xy * (2.0 / w, 2.0 / h) - 1.0).astype(np.float32))
    planes = functional.grid_sample(
        _planes(image), grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return _image(planes, like=image)


def _planes(image: Shaped[np.ndarray, "h w *c"]) -> Float[Tensor, "1 channels h w"]:
    """The layout that torch's resampling takes: channels first, float32."""
    h, w = image.shape[:2]
    pixels = torch.from_numpy(image.reshape(h, w, -1).astype(np.float32))
    return pixels.permute(2, 0, 1)[None]


def _image(
    planes: Float[Tensor, "1 channels h w"], like: Shaped[np.ndarray, "..."]
) -> Shaped[np.ndarray, "..."]:
    """Back to `like`'s layout, type and range (bicubic weights overshoot at edges)."""
    planes = planes.clamp(float(like.min()), float(like.max()))
    values = planes[0].permute(1, 2, 0).numpy().reshape(*planes.shape[2:], *like.shape[2:])
    if not np.issubdtype(like.dtype, np.floating):
        values = np.rint(values)
    return values.astype(like.dtype)
