"""The five functions of gsplat 1.5 that splatseg calls, in plain torch, for machines without a GPU.

Shapes, types and conventions are those of gsplat 1.5.3, and so are the arguments, without the
options that are never given; the mathematics is the reference's. It is stricter than gsplat:
arguments that a kernel would misread fail, what gsplat leaves uninitialized is NaN, and of
Gaussians that are not finite it makes the worst: they cover the image.
"""

import math

import torch
from torch import Tensor

from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.render import reference
from splatseg.render.reference import ReferenceBackend

REFERENCE = ReferenceBackend()
ALPHA_THRESHOLD = 1 / 255
MIN_TRANSMITTANCE = 1e-4
FAR_PLANE = 1e10
MAX_RADIUS = 2**31 - 1  # what CUDA makes of infinity as an int32
# Beyond these a kernel's colors are padded to the next power of two, or refused.
SUPPORTED_CHANNELS = range(1, 514)


def expect(tensor: Tensor, dtype: torch.dtype, *shape: int) -> None:
    assert isinstance(tensor, Tensor) and tensor.dtype == dtype, f"{tensor.dtype}, not {dtype}"
    assert tensor.shape == shape, f"{tuple(tensor.shape)}, not {shape}"


def uninitialized(count: int, kept: Tensor, values: Tensor) -> Tensor:
    """`values` in the rows `kept` of `count`, NaN elsewhere."""
    return values.new_full((count, *values.shape[1:]), math.nan).index_put((kept,), values)


def fully_fused_projection(
    means, covars, quats, scales, viewmats, Ks, width, height, *, eps2d, near_plane, opacities
):
    count = means.shape[-2]
    assert count > 0, "gsplat divides by the number of Gaussians"
    assert covars is None and eps2d == reference.BLUR
    expect(means, torch.float32, count, 3)
    expect(quats, torch.float32, count, 4)
    expect(scales, torch.float32, count, 3)
    expect(viewmats, torch.float32, 1, 4, 4)
    expect(Ks, torch.float32, 1, 3, 3)
    expect(opacities, torch.float32, count)
    assert bool(quats.any(dim=-1).all()), "gsplat divides by a quaternion's length"
    assert not opacities.requires_grad, "gsplat gives no gradient to these opacities"
    assert Ks[0, 2].tolist() == [0, 0, 1] and not Ks[0, 0, 1] and not Ks[0, 1, 0]
    camera = Camera(
        viewmats[0].double(),
        *(Ks[0, i, j].item() for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))),
        *(width, height, near_plane),
    )
    gaussians = Gaussians(
        means, quats, scales.log(), opacities.logit(), means[:, None], means[:, :0]
    )
    with torch.no_grad():
        radii = _radii(gaussians, camera, opacities)
    kept = (radii > 0).all(dim=-1).nonzero()[:, 0]
    view = REFERENCE.project(gaussians.select(kept), camera, 0)
    nowhere = ~means[kept].isfinite().all(dim=-1)
    means2d = view.means2d.masked_fill(nowhere[:, None], math.nan)
    projected = (means2d, view.depths.masked_fill(nowhere, math.nan), view.conics)
    return radii[None], *(uninitialized(count, kept, x)[None] for x in projected), None


def _radii(gaussians: Gaussians, camera: Camera, opacities: Tensor) -> Tensor:
    view = REFERENCE.project(gaussians, camera, 0)
    reach = reference.extents(view.conics, opacities).ceil()
    results = torch.cat([gaussians.means, view.conics, reach], dim=1)
    finite = results.isfinite().all(dim=-1)
    size = torch.tensor([camera.width, camera.height])
    outside = ((view.means2d + reach <= 0) | (view.means2d - reach >= size)).any(dim=-1)
    culled = (view.depths < camera.near) | (view.depths > FAR_PLANE) | (opacities < ALPHA_THRESHOLD)
    culled |= finite & (outside | (view.opacities == 0))  # 0: the determinant is not positive
    radii = torch.where(finite[:, None], reach.to(torch.int32), MAX_RADIUS)
    return torch.where(culled[:, None], 0, radii)


@torch.no_grad()
def isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height):
    count = means2d.shape[-2]
    expect(means2d, torch.float32, 1, count, 2)
    expect(radii, torch.int32, 1, count, 2)
    expect(depths, torch.float32, 1, count)
    tiles_per_gauss, keys = torch.zeros(1, count, dtype=torch.int32), []
    for g in (radii[0] > 0).all(dim=-1).nonzero()[:, 0].tolist():
        center, radius = means2d[0, g], radii[0, g]
        assert bool(center.isfinite().all()), "a radius above 0 promises a place"
        left, top = ((center - radius) / tile_size).floor().int().clamp_min(0).tolist()
        right, bottom = ((center + radius) / tile_size).ceil().int().tolist()
        depth = int(depths[0, g : g + 1].view(torch.int32))
        touched = [
            row * tile_width + column
            for row in range(top, min(bottom, tile_height))
            for column in range(left, min(right, tile_width))
        ]
        tiles_per_gauss[0, g] = len(touched)
        keys += [(tile << 32 | depth, g) for tile in touched]
    keys.sort()
    isect_ids, flatten_ids = zip(*keys, strict=True) if keys else ((), ())
    return (
        tiles_per_gauss,
        torch.tensor(isect_ids, dtype=torch.int64),
        torch.tensor(flatten_ids, dtype=torch.int32),
    )


@torch.no_grad()
def isect_offset_encode(isect_ids, n_images, tile_width, tile_height):
    expect(isect_ids, torch.int64, len(isect_ids))
    assert n_images == 1
    counts = torch.bincount(isect_ids >> 32, minlength=tile_width * tile_height)
    offsets = (counts.cumsum(0) - counts).to(torch.int32)
    return offsets.reshape(n_images, tile_height, tile_width)


def rasterize_to_pixels(
    means2d,
    conics,
    colors,
    opacities,
    image_width,
    image_height,
    tile_size,
    isect_offsets,
    flatten_ids,
):
    count, channels = colors.shape[-2:]
    rows, columns = -(-image_height // tile_size), -(-image_width // tile_size)
    expect(means2d, torch.float32, 1, count, 2)
    expect(conics, torch.float32, 1, count, 3)
    expect(colors, torch.float32, 1, count, channels)
    expect(opacities, torch.float32, 1, count)
    expect(isect_offsets, torch.int32, 1, rows, columns)
    expect(flatten_ids, torch.int32, len(flatten_ids))
    if channels not in SUPPORTED_CHANNELS:
        raise ValueError(f"Unsupported number of color channels: {channels}")
    ends = [*isect_offsets.flatten().tolist(), len(flatten_ids)]
    image = torch.zeros(image_height, image_width, channels + 1)
    image = image + colors[:, :0].sum() + means2d[:, :0].sum()  # in the graph, tiles or none
    attributes = torch.cat([colors[0], torch.ones(count, 1)], dim=1)
    for tile in range(rows * columns):
        top, left = (tile_size * i for i in divmod(tile, columns))
        bottom, right = min(top + tile_size, image_height), min(left + tile_size, image_width)
        pixels = torch.cartesian_prod(torch.arange(top, bottom), torch.arange(left, right))
        order = flatten_ids[ends[tile] : ends[tile + 1]].long()
        weights = _weights(
            pixels.flip(-1) + 0.5, means2d[0][order], conics[0][order], opacities[0][order]
        )
        block = (weights @ attributes[order]).unflatten(0, (bottom - top, right - left))
        image[top:bottom, left:right] = block
    return image[None, ..., :-1], image[None, ..., -1:]


def _weights(centers: Tensor, means2d: Tensor, conics: Tensor, opacities: Tensor) -> Tensor:
    """Blending weight of each Gaussian at each pixel, (pixels, Gaussians), front to back."""
    dx, dy = (means2d - centers[:, None]).unbind(-1)
    xx, xy, yy = conics.unbind(-1)
    sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (opacities * torch.exp(-sigma)).clamp_max(0.999)
    alpha = torch.where((sigma >= 0) & (alpha >= ALPHA_THRESHOLD), alpha, 0.0)
    # The Gaussian that would leave too little light is not drawn, nor any behind it.
    alpha = torch.where((1 - alpha).cumprod(dim=-1) > MIN_TRANSMITTANCE, alpha, 0.0)
    passed = torch.cat([torch.ones(len(centers), 1), (1 - alpha).cumprod(dim=-1)], dim=-1)
    return alpha * passed[:, :-1]


def spherical_harmonics(degrees_to_use, dirs, coeffs, masks=None):
    count, bases = coeffs.shape[:2]
    expect(dirs, torch.float32, count, 3)
    expect(coeffs, torch.float32, count, bases, 3)
    expect(masks, torch.bool, count)
    assert (degrees_to_use + 1) ** 2 <= bases
    kept = masks.nonzero()[:, 0]
    basis = sh_basis(torch.nn.functional.normalize(dirs[kept], dim=-1), degrees_to_use)
    colors = torch.einsum("nk,nkc->nc", basis, coeffs[kept, : basis.shape[1]])
    return uninitialized(count, kept, colors)
