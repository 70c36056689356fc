"""The contract of a rendering backend: what it takes, and what it gives.

A backend is one class with the methods of `Backend`. `render/reference.py` is the specification of
each: results agree with it up to rounding. A new backend is a file of its own and a line in the
registry, `render/backends.py`.
"""

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.engine.buffers import GradientBuffers
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians

Window = tuple[int, int, int, int]
"""x and y of a part of an image, its width and its height."""

Tiles = TypeVar("Tiles")
"""A backend's own lists of which Gaussians touch which tile."""


@dataclass(frozen=True)
class ProjectedGaussians(Generic[Tiles]):
    """Gaussians projected into `camera`; reusable for as long as their geometry stays the same.

    The tensors carry the autograd history of the projection. Gaussians behind the near plane, or
    whose covariance is not finite, have opacity 0; a backend may give it to all that are not
    visible. Other values of a Gaussian with opacity 0 are undefined.
    """

    camera: Camera
    means2d: Float[Tensor, "n 2"]
    """Centers in pixels; pixel (0, 0) has its center at (0.5, 0.5)."""
    conics: Float[Tensor, "n 3"]
    """Inverse 2D covariance: xx, xy, yy (1/pixel²)."""
    depths: Float[Tensor, " n"]
    """Distance along the optical axis, world units."""
    opacities: Float[Tensor, " n"]
    colors: Float[Tensor, "n 3"]
    """View-dependent RGB, at least 0."""
    visible: Bool[Tensor, " n"]
    """Which Gaussians reach a pixel with alpha >= 1/255, occlusion aside. A bound by boxes or
    blocks: it holds all that do, and a few that pass close by."""
    tiles: Tiles
    backend: "Backend[Tiles]"
    """The backend that projected them, and that rasterizes them."""

    def __len__(self) -> int:
        return self.means2d.shape[0]

    def detach(self) -> "ProjectedGaussians[Tiles]":
        """The same without history: what is rasterized has no gradient to geometry."""
        names = ("means2d", "conics", "depths", "opacities", "colors")
        return replace(self, **{name: getattr(self, name).detach() for name in names})


def within(
    window: Window | None, camera: Camera, means2d: Float[Tensor, "n 2"]
) -> tuple[Camera, Float[Tensor, "n 2"]]:
    """The camera of a window of the image, and centers in its pixels; without one, as they are."""
    if window is None:
        return camera, means2d
    return camera.window(*window), means2d - means2d.new_tensor(window[:2])


@dataclass(frozen=True)
class Rendered:
    """Blended attributes of a whole image, or of a list of pixels."""

    image: Float[Tensor, "... c"]
    """Σ w_i a_i (Eq. 1, Eq. 2 of arXiv:2404.12784): not divided by alpha, background 0."""
    alpha: Float[Tensor, "..."]
    """Σ w_i, in [0, 1]."""
    depth: Float[Tensor, "..."] | None
    """Σ w_i z_i / Σ w_i, the expected depth, 0 where alpha is 0; None unless asked for."""


Pixels = Int[Tensor, "m 2"]
"""(column, row) of pixels."""


@runtime_checkable
class Backend(Protocol[Tiles]):
    """One way to project and rasterize Gaussians; without state, so that one instance serves all.

    `Tiles` is its own type of tile intersections, which only it reads.
    """

    @property
    def name(self) -> str:
        """What commands, records and messages call it."""
        ...

    def renders_on(self, device: torch.device) -> bool:
        """Whether it is the choice for Gaussians on `device`, as things are installed here."""
        ...

    def project(
        self,
        gaussians: Gaussians,
        camera: Camera,
        sh_degree: int,
        window: Window | None,
        buffers: GradientBuffers | None,
    ) -> ProjectedGaussians[Tiles]:
        """See `splatseg.render.project`. `buffers` may be ignored."""
        ...

    def rasterize(
        self,
        projected: ProjectedGaussians[Tiles],
        attributes: Float[Tensor, "n c"],
        pixels: Pixels | None,
    ) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
        """Image (h, w, c) and alpha (h, w), or samples (m, c) and alpha (m) at `pixels`.

        Differentiable in the attributes and in the projected geometry.
        """
        ...

    def backproject(
        self,
        projected: ProjectedGaussians[Tiles],
        values: Float[Tensor, "... c"],
        pixels: Pixels | None,
    ) -> Float[Tensor, "n c"]:
        """The transpose of `rasterize`: for each Gaussian Σ over pixels of weight x value."""
        ...

    def rasterize_labels(
        self, projected: ProjectedGaussians[Tiles], labels: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
        """The label with most blending weight at each pixel, 0 where nothing was hit; and alpha.

        `labels` are at least 0. `labels.rasterize_labels` does it on any backend.
        """
        ...
