"""The specification of rendering in plain torch: every backend must agree with it.

Differentiable, any dtype and device, slow. It does what the other backends do, with two
deliberate differences: no tile lists, and no early stop where a pixel is already opaque (3DGS
stops at a transmittance of 1e-4, so images may differ by that much).

Projection is EWA splatting (Zwicker 2001) as 3D Gaussian Splatting (Kerbl 2023) uses it; blending
is Eq. 1 and Eq. 2 of arXiv:2404.12784.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.engine.buffers import GradientBuffers
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import rotation_matrices
from splatseg.geometry.spherical_harmonics import view_colors
from splatseg.render.backend import ProjectedGaussians, Window, within
from splatseg.render.labels import rasterize_labels

BLUR = 0.3  # pixels², added to the 2D covariance so that no Gaussian falls between pixels (3DGS)
MARGIN = (
    0.15  # of the image size: beyond this the Jacobian is held, so grazing Gaussians stay finite
)
MIN_ALPHA = 1 / 255  # fainter contributions are skipped (3DGS)
MAX_ALPHA = 0.999  # keeps 1 - alpha invertible
PIXELS_AT_ONCE = 4096  # bounds the pixels x Gaussians matrix


class ReferenceBackend:
    """Plain torch: any dtype, any device."""

    name = "reference"

    def renders_on(self, device: torch.device) -> bool:
        """Everywhere."""
        return True

    def project(
        self,
        gaussians: Gaussians,
        camera: Camera,
        sh_degree: int,
        window: Window | None = None,
        buffers: GradientBuffers | None = None,
    ) -> ProjectedGaussians[None]:
        """See `splatseg.render.project`."""
        projection = camera.project(gaussians.means)
        valid = projection.is_in_front
        in_front = torch.where(valid[:, None], projection.in_camera, 1.0)
        xx, xy, yy = _covariances2d(gaussians, camera, in_front).unbind(-1)
        determinant = xx * yy - xy * xy
        conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[:, None]

        # Scales that overflow, needles whose determinant rounds to nothing, NaN: not drawn.
        valid = valid & (determinant > 0) & determinant.isfinite()
        opacities = torch.where(valid, gaussians.opacities, 0.0)
        reach = extents(conics, opacities)
        part, means2d = within(window, camera, projection.xy)
        visible = valid & (opacities > MIN_ALPHA) & _overlaps_image(means2d, reach, part)
        colors = view_colors(gaussians.means, gaussians.sh, camera.position, sh_degree)
        return ProjectedGaussians(
            *(part, means2d, conics, projection.depths, opacities, colors, visible),
            tiles=None,
            backend=self,
        )

    def rasterize(
        self,
        projected: ProjectedGaussians[None],
        attributes: Float[Tensor, "n c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
        """Image (h w c) and alpha (h w), or samples (m c) and alpha (m) at `pixels`."""
        wanted = _all_pixels(projected.camera, attributes.device) if pixels is None else pixels
        parts = [
            (weights @ attributes[order], weights.sum(dim=-1))
            for order, weights in _weights(projected, wanted)
        ]
        # The empty slices keep the type and the history where no pixel is wanted.
        samples = torch.cat([attributes[:0], *[p[0] for p in parts]])
        alpha = torch.cat([projected.opacities[:0], *[p[1] for p in parts]])
        if pixels is not None:
            return samples, alpha
        size = (projected.camera.height, projected.camera.width)
        return samples.unflatten(0, size), alpha.unflatten(0, size)

    def backproject(
        self,
        projected: ProjectedGaussians[None],
        values: Float[Tensor, "... c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> Float[Tensor, "n c"]:
        """See `splatseg.render.backproject`."""
        wanted = _all_pixels(projected.camera, values.device) if pixels is None else pixels
        flat = values.reshape(-1, values.shape[-1])
        out = flat.new_zeros(len(projected), flat.shape[1])
        start = 0
        for order, weights in _weights(projected, wanted):
            part = flat[start : start + len(weights)]
            out = out.index_add(0, order, weights.T @ part)
            start += len(weights)
        return out

    def rasterize_labels(
        self, projected: ProjectedGaussians[None], labels: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
        """See `Backend.rasterize_labels`."""
        return rasterize_labels(projected, labels)


def _covariances2d(
    gaussians: Gaussians, camera: Camera, in_camera: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """xx, xy, yy of the blurred covariance in the image, in pixels²."""
    x, y, z = in_camera.unbind(-1)
    pose = camera.cam_from_world.to(in_camera)
    margin_x, margin_y = MARGIN * camera.width, MARGIN * camera.height
    tx = (x / z).clamp(
        (-camera.cx - margin_x) / camera.fx, (camera.width - camera.cx + margin_x) / camera.fx
    )
    ty = (y / z).clamp(
        (-camera.cy - margin_y) / camera.fy, (camera.height - camera.cy + margin_y) / camera.fy
    )
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([camera.fx / z, zero, -camera.fx * tx / z], dim=-1),
            torch.stack([zero, camera.fy / z, -camera.fy * ty / z], dim=-1),
        ],
        dim=-2,
    )
    rotations = rotation_matrices(gaussians.quats)
    half = jacobian @ pose[:3, :3] @ (rotations * gaussians.scales[:, None, :])
    covariance = half @ half.transpose(-1, -2)
    entries = [covariance[:, 0, 0] + BLUR, covariance[:, 0, 1], covariance[:, 1, 1] + BLUR]
    return torch.stack(entries, dim=-1)


def extents(conics: Float[Tensor, "n 3"], opacities: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """Half width and height of the ellipse in which alpha >= MIN_ALPHA; 0 where there is none."""
    sigma = torch.log(opacities.clamp_min(MIN_ALPHA) / MIN_ALPHA)
    xx, xy, yy = conics.unbind(-1)
    k = 2 * sigma / (xx * yy - xy * xy)
    return torch.stack([(k * yy).sqrt(), (k * xx).sqrt()], dim=-1).detach()


def _overlaps_image(means2d: Tensor, reach: Tensor, camera: Camera) -> Tensor:
    size = means2d.new_tensor([camera.width, camera.height])
    return ((means2d + reach > 0) & (means2d - reach < size)).all(dim=-1)


def _all_pixels(camera: Camera, device: torch.device) -> Int[Tensor, "m 2"]:
    """(column, row) of every pixel, row by row."""
    return torch.cartesian_prod(
        torch.arange(camera.height, device=device), torch.arange(camera.width, device=device)
    ).flip(-1)


def _weights(
    projected: ProjectedGaussians, pixels: Int[Tensor, "m 2"]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of `pixels`: the Gaussians that reach them, front to back, and weights w[pixel, i]."""
    reach = extents(projected.conics, projected.opacities)
    front_to_back = torch.argsort(projected.depths.detach().float(), stable=True)
    front_to_back = front_to_back[projected.visible[front_to_back]]
    for chunk in pixels.split(PIXELS_AT_ONCE) if len(pixels) > 0 else ():
        centers = chunk.to(projected.means2d) + 0.5
        low, high = centers.amin(dim=0), centers.amax(dim=0)
        means2d = projected.means2d.detach()[front_to_back]
        near = (means2d + reach[front_to_back] >= low) & (means2d - reach[front_to_back] <= high)
        order = front_to_back[near.all(dim=-1)]
        dx, dy = (centers[:, None, :] - projected.means2d[order]).unbind(-1)
        xx, xy, yy = projected.conics[order].unbind(-1)
        sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
        alpha = (projected.opacities[order] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
        alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
        passed = torch.cumprod(1 - alpha, dim=-1)
        transmittance = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=-1)
        yield order, alpha * transmittance[:, : len(order)]
