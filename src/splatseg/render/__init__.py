"""Rendering in three verbs: `project`, `render` and `splat`, over interchangeable backends.

    view = project(gaussians, camera)              # immutable, reusable while geometry stays
    rendered = render(view, attributes)            # any channels; differentiable
    votes = splat(view, image)                     # the transpose: pixels onto Gaussians
    rendered = render(gaussians, camera)           # colour, in one step

Backends: "gsplat" (CUDA), "native" (compiled, CPU) and "reference" (plain torch on any device, the
specification). A view belongs to the backend that made it, which its bins tell.
"""

from types import ModuleType, NoneType
from typing import Literal, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.cameras import Camera
from splatseg.errors import SplatsegError
from splatseg.gaussians import Gaussians
from splatseg.render import engine, gsplat, native, reference
from splatseg.render.view import Rendered, View, Window

__all__ = ["Backend", "Rendered", "View", "Window", "default_backend", "project", "render", "splat"]

Backend = Literal["gsplat", "native", "reference"]
BACKENDS: dict[str, ModuleType] = {"gsplat": gsplat, "native": native, "reference": reference}
BACKEND_OF_BINS: dict[type, ModuleType] = {
    gsplat.Tiles: gsplat,
    engine.Bins: native,
    NoneType: reference,
}


def default_backend(device: torch.device | str = "cpu") -> Backend:
    """The backend for Gaussians on `device`.

    On CUDA "gsplat"; on the CPU "native", where the engine was compiled; else "reference", which is
    correct, and slow.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return "gsplat"
    return "native" if kind == "cpu" and engine.is_available() else "reference"


def project(
    gaussians: Gaussians,
    camera: Camera,
    *,
    sh_degree: int | None = None,
    backend: Backend | None = None,
    window: Window | None = None,
) -> View:
    """Project Gaussians into a camera's image and sort them into tiles.

    `sh_degree` limits the spherical harmonics used for colour; by default all that are stored.
    `backend` is by default the one for the Gaussians' device. With a `window` (x, y, width,
    height), the view is of this part of the image alone, with the whole image's pixels there.
    """
    name = backend or default_backend(gaussians.means.device)
    degree = gaussians.sh_degree if sh_degree is None else min(sh_degree, gaussians.sh_degree)
    return BACKENDS[name].project(gaussians, camera, degree, window)


@overload
def render(
    source: View,
    what: Float[Tensor, "n c"],
    pixels: Int[Tensor, "m 2"] | None = None,
    *,
    depth: bool = False,
) -> Rendered: ...
@overload
def render(
    source: Gaussians,
    what: Camera,
    pixels: Int[Tensor, "m 2"] | None = None,
    *,
    depth: bool = False,
) -> Rendered: ...
def render(
    source: View | Gaussians,
    what: Tensor | Camera,
    pixels: Int[Tensor, "m 2"] | None = None,
    *,
    depth: bool = False,
) -> Rendered:
    """Blend per-Gaussian attributes front to back (Eq. 1 and Eq. 2 of arXiv:2404.12784).

    `render(view, attributes)` blends any C >= 1 channels; `render(gaussians, camera)` is the
    convenience for colour. Differentiable in the attributes and in the view's geometry.

    Args:
        pixels: (column, row) of the pixels wanted; then image is (m, c) and alpha (m). All by
            default: image (h, w, c), alpha (h, w).
        depth: also return the expected depth.
    """
    if isinstance(source, Gaussians):
        if not isinstance(what, Camera):
            raise TypeError("render(gaussians, camera) needs a Camera")
        view = project(source, what)
        return render(view, view.colors, pixels, depth=depth)
    if not isinstance(what, Tensor):
        raise TypeError("render(view, attributes) needs a tensor of attributes")
    if pixels is not None:
        _check_pixels(pixels, source.camera)
    attributes = torch.cat([what, source.depths[:, None]], dim=-1) if depth else what
    image, alpha = _backend(source).blend(source, attributes, pixels)
    if not depth:
        return Rendered(image, alpha, depth=None)
    # The floor only avoids 0/0 where nothing was hit: the numerator is 0 there as well.
    return Rendered(image[..., :-1], alpha, depth=image[..., -1] / alpha.clamp_min(1e-10))


def splat(
    view: View, values: Float[Tensor, "... c"], pixels: Int[Tensor, "m 2"] | None = None
) -> Float[Tensor, "n c"]:
    """The transpose of `render`: Σ over pixels of blending weight x value, for each Gaussian.

    `values` is an image (h, w, c), or (m, c) at `pixels` given as (column, row). Splatting ones
    gives each Gaussian's visibility in the view. Not differentiable.
    """
    if pixels is not None:
        _check_pixels(pixels, view.camera)
    with torch.no_grad():
        return _backend(view).splat(view, values, pixels)


def _backend(view: View) -> ModuleType:
    return BACKEND_OF_BINS[type(view.bins)]


def _check_pixels(pixels: Tensor, camera: Camera) -> None:
    size = torch.tensor([camera.width, camera.height], device=pixels.device)
    outside = ((pixels < 0) | (pixels >= size)).any(dim=-1)
    if bool(outside.any()):
        column, row = pixels[outside][0].tolist()
        raise SplatsegError(
            f"pixel ({column}, {row}) lies outside the {camera.width}x{camera.height} image"
        )
