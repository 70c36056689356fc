"""What projection produces: 2D Gaussians in one camera's image."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from splatseg.cameras import Camera

Window = tuple[int, int, int, int]
"""x and y of a part of an image, its width and its height."""


@dataclass(frozen=True)
class View:
    """Gaussians projected into `camera`; reusable for as long as their geometry stays the same.

    The tensors carry the autograd history of the projection. Gaussians behind the near plane, or
    whose covariance is not finite, have opacity 0; a backend may give it to all that are not
    visible. Other values of a Gaussian with opacity 0 are undefined.
    """

    camera: Camera
    means2d: Float[Tensor, "n 2"]
    """Centres in pixels; pixel (0, 0) has its centre at (0.5, 0.5)."""
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
    bins: Any
    """The backend's own sorted tiles, by whose type it is known; None in the reference."""

    def __len__(self) -> int:
        return self.means2d.shape[0]

    def detach(self) -> "View":
        """The same view without history: renders from it have no gradient to geometry."""
        names = ("means2d", "conics", "depths", "opacities", "colors")
        return replace(self, **{name: getattr(self, name).detach() for name in names})


def within(
    window: Window | None, camera: Camera, means2d: Float[Tensor, "n 2"]
) -> tuple[Camera, Float[Tensor, "n 2"]]:
    """The camera of a window of the image, and centres in its pixels; without one, as they are."""
    if window is None:
        return camera, means2d
    return camera.window(*window), means2d - means2d.new_tensor(window[:2])


@dataclass(frozen=True)
class Rendered:
    """Blended attributes of a whole image, or of a list of pixels."""

    image: Float[Tensor, "... c"]
    """Σ w_i a_i (Eq. 1, Eq. 2): not divided by alpha, background 0."""
    alpha: Float[Tensor, "..."]
    """Σ w_i, in [0, 1]."""
    depth: Float[Tensor, "..."] | None
    """Σ w_i z_i / Σ w_i, the expected depth, 0 where alpha is 0; None unless asked for."""
