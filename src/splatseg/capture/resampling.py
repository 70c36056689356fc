"""Image samples at pixel coordinates, and images at other sizes.

Coordinates are (x, y) in pixels with centers at +0.5, so scaling an image by a factor scales its
coordinates by the same factor. Images are numpy arrays, `h w` or `h w c`, of any real type; the
result has the type of the input.

`nearest` is for labels: nothing is blended, and what lies outside the image is 0 (unlabeled).
Otherwise values are interpolated and the border is repeated outwards.

What takes many bytes a pixel is done a band of rows at a time: a photo of 12 megapixels would else
take a gigabyte in passing.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor
from torch.nn import functional

BAND_PIXELS = 2**18
OUTSIDE = -1.0  # a pixel coordinate outside every image: stands for "no such point" (NaN)


def pixel_centers(width: int, height: int) -> Float[np.ndarray, "h w 2"]:
    """The coordinates of every pixel's center."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], axis=-1)


def pixel_map(
    move: Callable[[Float[np.ndarray, "h w 2"]], Float[np.ndarray, "h w 2"]],
    width: int,
    height: int,
) -> Float32[np.ndarray, "height width 2"]:
    """Where `move` takes the center of every pixel."""
    result = np.empty((height, width, 2), dtype=np.float32)
    for rows in _bands(width, height):
        centers = pixel_centers(width, rows.stop - rows.start)
        centers[..., 1] += rows.start
        result[rows] = move(centers)
    return result


def sample(
    image: Shaped[np.ndarray, "h w *c"], xy: Float[np.ndarray, "rows columns 2"], nearest: bool
) -> Shaped[np.ndarray, "rows columns *c"]:
    """The image's values at `xy`; a NaN coordinate counts as outside."""
    if nearest:
        values = partial(_sample_nearest, image)
    else:
        values = partial(_sample_bilinear, image, _planes(image), _limits(image))
    height, width = xy.shape[:2]
    result = np.empty((height, width, *image.shape[2:]), dtype=image.dtype)
    for rows in _bands(width, height):
        result[rows] = values(np.nan_to_num(xy[rows], nan=OUTSIDE, posinf=OUTSIDE, neginf=OUTSIDE))
    return result


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
    return _image(planes, _limits(image), like=image)


def _bands(width: int, height: int) -> Iterator[slice]:
    """The rows of an image, at most BAND_PIXELS at once (but at least one row)."""
    step = max(1, BAND_PIXELS // max(1, width))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


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
    image: Shaped[np.ndarray, "h w *c"],
    planes: Float[Tensor, "1 channels h w"],
    limits: tuple[float, float],
    xy: Float[np.ndarray, "rows columns 2"],
) -> Shaped[np.ndarray, "rows columns *c"]:
    """`planes` and `limits` are the image's: the bands of a result share them."""
    h, w = image.shape[:2]
    # grid_sample's -1 and 1 are the outer edges of the border pixels (align_corners=False).
    grid = torch.from_numpy((xy * (2.0 / w, 2.0 / h) - 1.0).astype(np.float32))
    sampled = functional.grid_sample(
        planes, grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return _image(sampled, limits, like=image)


def _planes(image: Shaped[np.ndarray, "h w *c"]) -> Float[Tensor, "1 channels h w"]:
    """The layout that torch's resampling takes: channels first, float32."""
    h, w = image.shape[:2]
    pixels = torch.from_numpy(image.reshape(h, w, -1).astype(np.float32))
    return pixels.permute(2, 0, 1)[None]


def _limits(image: Shaped[np.ndarray, "..."]) -> tuple[float, float]:
    return float(image.min()), float(image.max())


def _image(
    planes: Float[Tensor, "1 channels h w"],
    limits: tuple[float, float],
    like: Shaped[np.ndarray, "..."],
) -> Shaped[np.ndarray, "..."]:
    """Back to `like`'s layout and type, within `limits` (bicubic weights overshoot at edges)."""
    planes = planes.clamp(*limits)
    values = planes[0].permute(1, 2, 0).numpy().reshape(*planes.shape[2:], *like.shape[2:])
    if not np.issubdtype(like.dtype, np.floating):
        values = np.rint(values)
    return values.astype(like.dtype)
