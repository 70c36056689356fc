"""The CUDA backend: gsplat 1.5 (Apache-2.0) behind our verbs. `reference.py` is its specification.

gsplat takes a batch of cameras, here of one: `[None]` on the way in, `[0]` on the way out. It works
in float32. What it culls it marks with radius 0 and leaves uninitialized; it draws what is not
finite, NaN as if opaque. So only Gaussians that are `visible` here reach its tiles.

As in 3DGS, a pixel is done before the Gaussian that would lower its transmittance T to 1e-4, where
the engine still draws that one. So T stays at up to 1e-4 / (1 - its alpha), at most 0.1.
"""

import functools
import importlib
import importlib.util
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.engine.buffers import GradientBuffers
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render.backend import ProjectedGaussians, Window, within
from splatseg.render.labels import rasterize_labels
from splatseg.render.reference import BLUR, MIN_ALPHA, ReferenceBackend

TILE = 16  # pixels along a side of a tile: 3DGS's, and gsplat's default
# gsplat's backward kernel holds a tile's channels in shared memory: 32 of them take 39 KB, 64 take
# 71 KB, which not every card has.
CHANNELS_AT_ONCE = 32


@dataclass(frozen=True)
class TileIntersections:
    """Which Gaussians touch which tile."""

    offsets: Int[Tensor, "1 rows columns"]
    """Where each tile's entries begin."""
    entries: Int[Tensor, " entries"]
    """Indices of Gaussians, tile by tile, front to back."""


def is_installed() -> bool:
    """Whether gsplat can be imported; not yet whether its CUDA code can be had."""
    return importlib.util.find_spec("gsplat") is not None


@functools.cache
def library() -> ModuleType:
    """gsplat, ready to render. The first time on a machine it compiles its CUDA code (minutes).

    Raises:
        SplatsegError: it is not installed, or its CUDA code can be neither compiled nor loaded.
    """
    if not is_installed():
        raise SplatsegError("rendering on a GPU needs gsplat: pip install splatseg[cuda]")
    try:
        with redirect_stdout(sys.stderr):  # it reports progress on stdout, where results go
            compiled = importlib.import_module("gsplat.cuda._backend")._C
    except (ImportError, OSError, RuntimeError) as error:
        raise SplatsegError(f"gsplat cannot compile or load its CUDA code: {error}") from error
    if compiled is None:
        raise SplatsegError(
            "gsplat finds no CUDA toolkit (nvcc) to compile its CUDA code with",
            remedy="install the one of torch's CUDA version, or compute on the CPU",
        )
    return importlib.import_module("gsplat")


class GsplatBackend:
    """gsplat's CUDA kernels: float32 on the GPU."""

    name = "gsplat"

    def renders_on(self, device: torch.device) -> bool:
        """On CUDA, whether or not gsplat is installed: nothing else is quick there."""
        return device.type == "cuda"

    def project(
        self,
        gaussians: Gaussians,
        camera: Camera,
        sh_degree: int,
        window: Window | None = None,
        buffers: GradientBuffers | None = None,
    ) -> ProjectedGaussians:
        """See `splatseg.render.project`. What is not visible gets opacity 0."""
        if len(gaussians) == 0:  # gsplat divides by their number
            return ReferenceBackend().project(gaussians, camera, sh_degree, window)
        means, opacities = gaussians.means, gaussians.opacities
        radii, means2d, depths, conics, _ = library().fully_fused_projection(
            *(means, None, _rotations(gaussians.quats), gaussians.scales),
            *(camera.cam_from_world.to(means)[None], _intrinsics(camera, means)[None]),
            *(camera.width, camera.height),
            eps2d=BLUR,
            near_plane=camera.near,
            opacities=opacities.detach(),
        )
        radii, means2d, depths, conics = radii[0], means2d[0], depths[0], conics[0]
        finite = means2d.isfinite().all(dim=-1) & conics.isfinite().all(dim=-1)
        visible = (radii > 0).all(dim=-1) & (opacities > MIN_ALPHA) & finite
        directions = means - camera.position.to(means)
        colors = library().spherical_harmonics(sh_degree, directions, gaussians.sh, masks=visible)
        part, means2d = within(window, camera, means2d)
        size = means2d.new_tensor([part.width, part.height])
        visible = visible & ((means2d + radii > 0) & (means2d - radii < size)).all(dim=-1)
        return ProjectedGaussians(
            part,
            means2d=means2d,
            conics=conics,
            depths=depths,
            opacities=torch.where(visible, opacities, 0.0),
            colors=torch.where(visible[:, None], 0.5 + colors, 0.0).clamp_min(0),
            visible=visible,
            tiles=_tiles(part, means2d, torch.where(visible[:, None], radii, 0), depths),
            backend=self,
        )

    def rasterize(
        self,
        projected: ProjectedGaussians[TileIntersections],
        attributes: Float[Tensor, "n c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
        """Image (h w c) and alpha (h w), or samples (m c) and alpha (m) at `pixels`.

        gsplat renders whole images: `pixels` are taken from one, and save no time.
        """
        camera, tiles = projected.camera, projected.tiles
        geometry = (projected.means2d[None], projected.conics[None])
        parts = [
            library().rasterize_to_pixels(
                *(*geometry, part[None], projected.opacities[None]),
                *(camera.width, camera.height, TILE, tiles.offsets, tiles.entries),
            )
            for part in attributes.split(CHANNELS_AT_ONCE, dim=1)
        ]
        image = torch.cat([colors[0] for colors, _ in parts], dim=-1)
        alpha = parts[0][1][0, :, :, 0]
        if pixels is None:
            return image, alpha
        columns, rows = pixels.to(device=image.device, dtype=torch.long).unbind(-1)
        return image[rows, columns], alpha[rows, columns]

    def backproject(
        self,
        projected: ProjectedGaussians[TileIntersections],
        values: Float[Tensor, "... c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> Float[Tensor, "n c"]:
        """The gradient of `rasterize` with respect to its attributes."""
        with torch.enable_grad():
            attributes = values.new_zeros(len(projected), values.shape[-1]).requires_grad_()
            blended, _ = self.rasterize(projected.detach(), attributes, pixels)
        (votes,) = torch.autograd.grad(blended, attributes, values)
        return votes

    def rasterize_labels(
        self, projected: ProjectedGaussians[TileIntersections], labels: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
        """See `Backend.rasterize_labels`."""
        return rasterize_labels(projected, labels)


def _rotations(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """A quaternion of length 0, by which gsplat divides, is no rotation: as in the reference."""
    identity = quats.new_tensor([1.0, 0.0, 0.0, 0.0])
    return torch.where(quats.any(dim=-1, keepdim=True), quats, identity)


def _intrinsics(camera: Camera, like: Tensor) -> Float[Tensor, "3 3"]:
    rows = [[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]]
    return like.new_tensor(rows)


def _tiles(
    camera: Camera,
    means2d: Float[Tensor, "n 2"],
    radii: Int[Tensor, "n 2"],
    depths: Float[Tensor, " n"],
) -> TileIntersections:
    """Gaussians by tile and depth; those of radius 0 are in none."""
    columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
    _, keys, entries = library().isect_tiles(
        means2d[None], radii[None], depths[None], TILE, columns, rows
    )
    return TileIntersections(library().isect_offset_encode(keys, 1, columns, rows), entries)
