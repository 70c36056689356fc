"""Rendering in three verbs: `project`, `rasterize` and `backproject`, over backends.

    projected = project(gaussians, camera)            # immutable, reusable while geometry stays
    rendered = rasterize(projected, attributes)       # any channels; differentiable
    votes = backproject(projected, image)             # the transpose: pixels onto Gaussians
    rendered = render(gaussians, camera)              # color, in one step

Backends: "gsplat" (CUDA), "native" (compiled, CPU) and "reference" (plain torch on any device, the
specification). What was projected holds the backend that did it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.engine.buffers import GradientBuffers
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render.backend import Backend, ProjectedGaussians, Rendered, Window
from splatseg.render.backends import BACKENDS, default_backend, find_backend

__all__ = [
    "BACKENDS",
    "Backend",
    "ProjectedGaussians",
    "Rendered",
    "Window",
    "backproject",
    "default_backend",
    "project",
    "rasterize",
    "render",
]


def project(
    gaussians: Gaussians,
    camera: Camera,
    *,
    sh_degree: int | None = None,
    backend: str | None = None,
    window: Window | None = None,
    buffers: GradientBuffers | None = None,
) -> ProjectedGaussians:
    """Project Gaussians into a camera's image and sort them into tiles.

    Args:
        sh_degree: limits the spherical harmonics used for color; by default all that are stored.
        backend: name of the backend; by default the one for the Gaussians' device.
        window: (x, y, width, height) of a part of the image, in pixels. The result is of this part
            alone, with the whole image's pixels there.
        buffers: where gradients of the Gaussians may be written, instead of new memory.

    Returns:
        The projected Gaussians, on the Gaussians' device.

    Raises:
        SplatsegError: no backend has that name, or it is not installed.
    """
    chosen = find_backend(backend) if backend else default_backend(gaussians.means.device)
    degree = gaussians.sh_degree if sh_degree is None else min(sh_degree, gaussians.sh_degree)
    return chosen.project(gaussians, camera, degree, window, buffers)


def rasterize(
    projected: ProjectedGaussians,
    attributes: Float[Tensor, "n c"],
    pixels: Int[Tensor, "m 2"] | None = None,
    *,
    depth: bool = False,
) -> Rendered:
    """Blend per-Gaussian attributes front to back (Eq. 1 and Eq. 2 of arXiv:2404.12784).

    Differentiable in the attributes and in the projected geometry.

    Args:
        attributes: any C >= 1 channels.
        pixels: (column, row) of the pixels wanted; then image is (m, c) and alpha (m). All by
            default: image (h, w, c), alpha (h, w).
        depth: also return the expected depth, in world units.

    Raises:
        SplatsegError: a pixel lies outside the image.
    """
    if pixels is not None:
        _check_pixels(pixels, projected.camera)
    columns = torch.cat([attributes, projected.depths[:, None]], dim=-1) if depth else attributes
    image, alpha = projected.backend.rasterize(projected, columns, pixels)
    if not depth:
        return Rendered(image, alpha, depth=None)
    # The floor only avoids 0/0 where nothing was hit: the numerator is 0 there as well.
    return Rendered(image[..., :-1], alpha, depth=image[..., -1] / alpha.clamp_min(1e-10))


def render(
    gaussians: Gaussians,
    camera: Camera,
    pixels: Int[Tensor, "m 2"] | None = None,
    *,
    depth: bool = False,
) -> Rendered:
    """The colors that a camera sees: `project` and `rasterize` in one step; see there."""
    projected = project(gaussians, camera)
    return rasterize(projected, projected.colors, pixels, depth=depth)


def backproject(
    projected: ProjectedGaussians,
    values: Float[Tensor, "... c"],
    pixels: Int[Tensor, "m 2"] | None = None,
) -> Float[Tensor, "n c"]:
    """The transpose of `rasterize`: Σ over pixels of blending weight x value, for each Gaussian.

    Not differentiable.

    Args:
        values: an image (h, w, c), or (m, c) at `pixels`. Ones give each Gaussian's visibility.
        pixels: (column, row) of the pixels that have values; all by default.

    Raises:
        SplatsegError: a pixel lies outside the image.
    """
    if pixels is not None:
        _check_pixels(pixels, projected.camera)
    with torch.no_grad():
        return projected.backend.backproject(projected, values, pixels)


def _check_pixels(pixels: Tensor, camera: Camera) -> None:
    size = torch.tensor([camera.width, camera.height], device=pixels.device)
    outside = ((pixels < 0) | (pixels >= size)).any(dim=-1)
    if bool(outside.any()):
        column, row = pixels[outside][0].tolist()
        raise SplatsegError(
            f"pixel ({column}, {row}) lies outside the {camera.width}x{camera.height} image"
        )
