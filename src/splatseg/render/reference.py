"""The specification of rendering in plain torch: every backend must agree with it.

Differentiable, any dtype and device, slow. It does what the other backends do, with two
deliberate differences: no tile lists, and no early stop where a pixel is already opaque (3DGS
stops at a transmittance of 1e-4, so images may differ by that much).

Projection is EWA splatting (Zwicker 2001) as 3D Gaussian Splatting (Kerbl 2023) uses it; blending
is Eq. 1 and Eq. 2 of arXiv:2404.12784.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.cameras import Camera
from splatseg.gaussians import Gaussians
from splatseg.render.view import View, Window, within

BLUR = 0.3  # pixels², added to the 2D covariance so that no Gaussian falls between pixels (3DGS)
MARGIN = (
    0.15  # of the image size: beyond this the Jacobian is held, so grazing Gaussians stay finite
)
MIN_ALPHA = 1 / 255  # fainter contributions are skipped (3DGS)
MAX_ALPHA = 0.999  # keeps 1 - alpha invertible
PIXELS_AT_ONCE = 4096  # bounds the pixels x Gaussians matrix


def rotation_matrices(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotations of wxyz quaternions of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def sh_basis(directions: Float[Tensor, "n 3"], degree: int) -> Float[Tensor, "n k"]:
    """Real spherical harmonics up to `degree` (0 to 3), in 3DGS's order and signs."""
    x, y, z = directions.unbind(-1)
    c0, c1 = math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi))
    basis = [torch.full_like(x, c0)]
    if degree >= 1:
        basis += [-c1 * y, c1 * z, -c1 * x]
    if degree >= 2:
        c2, c20 = math.sqrt(15 / (4 * math.pi)), math.sqrt(5 / (16 * math.pi))
        basis += [c2 * x * y, -c2 * y * z, c20 * (2 * z * z - x * x - y * y), -c2 * x * z]
        basis += [c2 / 2 * (x * x - y * y)]
    if degree >= 3:
        c33, c32 = math.sqrt(35 / (32 * math.pi)), math.sqrt(105 / (4 * math.pi))
        c31, c30 = math.sqrt(21 / (32 * math.pi)), math.sqrt(7 / (16 * math.pi))
        ring = 4 * z * z - x * x - y * y
        basis += [-c33 * y * (3 * x * x - y * y), c32 * x * y * z, -c31 * y * ring]
        basis += [c30 * z * (2 * z * z - 3 * x * x - 3 * y * y), -c31 * x * ring]
        basis += [c32 / 2 * z * (x * x - y * y), -c33 * x * (x * x - 3 * y * y)]
    return torch.stack(basis, dim=-1)


def view_colors(
    means: Float[Tensor, "n 3"], sh: Float[Tensor, "n k 3"], camera: Camera, sh_degree: int
) -> Float[Tensor, "n 3"]:
    """RGB of each Gaussian as seen from the camera, clamped at 0."""
    offsets = means - camera.position.to(means)
    # The floor only avoids 0/0 for a Gaussian exactly at the camera centre.
    directions = offsets / offsets.norm(dim=-1, keepdim=True).clamp_min(1e-15)
    basis = sh_basis(directions, sh_degree)
    color = 0.5 + torch.einsum("nk,nkc->nc", basis, sh[:, : basis.shape[1]])
    return color.clamp_min(0)


def project(
    gaussians: Gaussians, camera: Camera, sh_degree: int, window: Window | None = None
) -> View:
    """See `splatseg.render.project`."""
    pose = camera.cam_from_world.to(gaussians.means)
    in_camera = gaussians.means @ pose[:3, :3].T + pose[:3, 3]
    depths = in_camera[:, 2]
    valid = depths > camera.near
    x, y, z = torch.where(valid[:, None], in_camera, 1.0).unbind(-1)
    means2d = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], dim=-1)

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
    xx, xy, yy = covariance[:, 0, 0] + BLUR, covariance[:, 0, 1], covariance[:, 1, 1] + BLUR
    determinant = xx * yy - xy * xy
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[:, None]

    # Scales that overflow, needles whose determinant rounds to nothing, NaN: not drawn.
    valid = valid & (determinant > 0) & determinant.isfinite()
    opacities = torch.where(valid, gaussians.opacities, 0.0)
    reach = extents(conics, opacities)
    part, means2d = within(window, camera, means2d)
    visible = valid & (opacities > MIN_ALPHA) & _overlaps_image(means2d, reach, part)
    colors = view_colors(gaussians.means, gaussians.sh, camera, sh_degree)
    return View(part, means2d, conics, depths, opacities, colors, visible, bins=None)


def extents(conics: Float[Tensor, "n 3"], opacities: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """Half width and height of the ellipse in which alpha >= MIN_ALPHA; 0 where there is none."""
    sigma = torch.log(opacities.clamp_min(MIN_ALPHA) / MIN_ALPHA)
    xx, xy, yy = conics.unbind(-1)
    k = 2 * sigma / (xx * yy - xy * xy)
    return torch.stack([(k * yy).sqrt(), (k * xx).sqrt()], dim=-1).detach()


def _overlaps_image(means2d: Tensor, reach: Tensor, camera: Camera) -> Tensor:
    size = means2d.new_tensor([camera.width, camera.height])
    return ((means2d + reach > 0) & (means2d - reach < size)).all(dim=-1)


def blend(
    view: View, attributes: Float[Tensor, "n c"], pixels: Int[Tensor, "m 2"] | None
) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
    """Image (h w c) and alpha (h w), or samples (m c) and alpha (m) at `pixels`."""
    wanted = _all_pixels(view.camera, attributes.device) if pixels is None else pixels
    parts = [
        (weights @ attributes[order], weights.sum(dim=-1))
        for order, weights in _weights(view, wanted)
    ]
    # The empty slices keep the type and the history where no pixel is wanted.
    samples = torch.cat([attributes[:0], *[p[0] for p in parts]])
    alpha = torch.cat([view.opacities[:0], *[p[1] for p in parts]])
    if pixels is not None:
        return samples, alpha
    size = (view.camera.height, view.camera.width)
    return samples.unflatten(0, size), alpha.unflatten(0, size)


def splat(
    view: View, values: Float[Tensor, "... c"], pixels: Int[Tensor, "m 2"] | None
) -> Float[Tensor, "n c"]:
    """See `splatseg.render.splat`."""
    wanted = _all_pixels(view.camera, values.device) if pixels is None else pixels
    flat = values.reshape(-1, values.shape[-1])
    out = flat.new_zeros(len(view), flat.shape[1])
    start = 0
    for order, weights in _weights(view, wanted):
        part = flat[start : start + len(weights)]
        out = out.index_add(0, order, weights.T @ part)
        start += len(weights)
    return out


def _all_pixels(camera: Camera, device: torch.device) -> Int[Tensor, "m 2"]:
    """(column, row) of every pixel, row by row."""
    return torch.cartesian_prod(
        torch.arange(camera.height, device=device), torch.arange(camera.width, device=device)
    ).flip(-1)


def _weights(view: View, pixels: Int[Tensor, "m 2"]) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of `pixels`: the Gaussians that reach them, front to back, and weights w[pixel, i]."""
    reach = extents(view.conics, view.opacities)
    front_to_back = torch.argsort(view.depths.detach().float(), stable=True)
    front_to_back = front_to_back[view.visible[front_to_back]]
    for chunk in pixels.split(PIXELS_AT_ONCE) if len(pixels) > 0 else ():
        centres = chunk.to(view.means2d) + 0.5
        low, high = centres.amin(dim=0), centres.amax(dim=0)
        means2d = view.means2d.detach()[front_to_back]
        near = (means2d + reach[front_to_back] >= low) & (means2d - reach[front_to_back] <= high)
        order = front_to_back[near.all(dim=-1)]
        dx, dy = (centres[:, None, :] - view.means2d[order]).unbind(-1)
        xx, xy, yy = view.conics[order].unbind(-1)
        sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
        alpha = (view.opacities[order] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
        alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
        passed = torch.cumprod(1 - alpha, dim=-1)
        transmittance = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=-1)
        yield order, alpha * transmittance[:, : len(order)]
