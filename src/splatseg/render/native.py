"""The native CPU backend: autograd around the compiled engine, specified by `reference.py`.

The engine works in float32 on planar images (channel, row, column); the tensors handed out are
permuted views of those, so nothing is copied.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.engine import library
from splatseg.engine.buffers import GradientBuffers
from splatseg.engine.library import TileIntersections, dense
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render.backend import ProjectedGaussians, Window, within

Grads = tuple[Tensor | None, ...]


def projected_struct(tensors: tuple[Tensor, ...]) -> library.CProjected:
    """Addresses of means2d, conics, depths, opacities, colors."""
    return library.CProjected(*[t.data_ptr() for t in tensors])


def gaussians_struct(tensors: tuple[Tensor, ...], sh_degree: int) -> library.CGaussians:
    """Addresses of means, quats, log_scales, logit_opacities, sh."""
    sh = tensors[4]
    return library.CGaussians(
        tensors[0].shape[0], *[t.data_ptr() for t in tensors], sh.shape[1], sh_degree
    )


class Project(torch.autograd.Function):
    """Gaussians to means2d, conics, depths, opacities, colors."""

    @staticmethod
    def forward(
        ctx: Any,
        camera: Camera,
        sh_degree: int,
        buffers: GradientBuffers | None,
        *stored: Tensor,
    ) -> tuple[Tensor, ...]:
        stored = tuple(dense(t) for t in stored)
        count = stored[0].shape[0]
        out = tuple(torch.empty(count, width) for width in (2, 3, 1, 1, 3))
        out = (out[0], out[1], out[2][:, 0], out[3][:, 0], out[4])
        gaussians, c_camera = gaussians_struct(stored, sh_degree), library.camera_struct(camera)
        library.library().splatseg_project(gaussians, c_camera, projected_struct(out))
        ctx.save_for_backward(*stored)
        ctx.camera, ctx.sh_degree, ctx.buffers = c_camera, sh_degree, buffers
        return out

    @staticmethod
    def backward(ctx: Any, *grad_projected: Tensor) -> Grads:  # type: ignore[override]
        stored = ctx.saved_tensors
        incoming = tuple(dense(g) for g in grad_projected)
        empty_like = torch.empty_like if ctx.buffers is None else ctx.buffers.empty_like
        grads = tuple(empty_like(t) for t in stored)
        library.library().splatseg_project_backward(
            gaussians_struct(stored, ctx.sh_degree),
            ctx.camera,
            projected_struct(incoming),
            *[g.data_ptr() for g in grads],
        )
        return (None, None, None, *grads)


def rasterize_gradients(
    backward: Callable[..., int],
    head: tuple[int, int],
    inputs: tuple[Tensor | int | None, ...],
    geometry_shapes: tuple[torch.Size, ...] | None,
) -> Grads:
    """Gradients of means2d, conics, opacities and attributes (the first of `inputs`).

    Those of the geometry are None without `geometry_shapes`: only the attributes' is computed.
    """
    attributes = inputs[0]
    assert isinstance(attributes, Tensor)
    geometry = [None] * 3 if geometry_shapes is None else [torch.empty(s) for s in geometry_shapes]
    grads = (*geometry, torch.empty_like(attributes))
    arguments = [x if isinstance(x, int) else library.pointer(x) for x in (*inputs, *grads)]
    library.check(backward(*head, *arguments), f"differentiate {len(attributes)} Gaussians")
    return grads


class Rasterize(torch.autograd.Function):
    """Attributes of projected Gaussians to a planar image and alpha."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: ProjectedGaussians[TileIntersections],
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        attributes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        camera, attributes = projected.camera, dense(attributes)
        image = torch.empty(attributes.shape[1], camera.height, camera.width)
        alpha = torch.empty(camera.height, camera.width)
        status = library.library().splatseg_render(
            projected.tiles.handle,
            attributes.shape[1],
            *[t.data_ptr() for t in (attributes, image, alpha)],
        )
        library.check(status, f"render {camera.width}x{camera.height} pixels")
        ctx.save_for_backward(attributes)
        ctx.tiles, ctx.camera = projected.tiles, camera
        ctx.geometry = (means2d.shape, conics.shape, opacities.shape)
        ctx.set_materialize_grads(False)
        return image, alpha

    @staticmethod
    def backward(ctx: Any, grad_image: Tensor | None, grad_alpha: Tensor | None) -> Grads:  # type: ignore[override]
        (attributes,) = ctx.saved_tensors
        camera, channels = ctx.camera, attributes.shape[1]
        grad_image = (
            torch.zeros(channels, camera.height, camera.width)
            if grad_image is None
            else dense(grad_image)
        )
        grad_alpha = None if grad_alpha is None else dense(grad_alpha)
        grads = rasterize_gradients(
            library.library().splatseg_render_backward,
            (ctx.tiles.handle, channels),
            (attributes, grad_image, grad_alpha),
            ctx.geometry if any(ctx.needs_input_grad[1:4]) else None,
        )
        return (None, *grads)


class RasterizePixels(torch.autograd.Function):
    """Attributes of projected Gaussians to samples at chosen pixels, and their alpha."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: ProjectedGaussians[TileIntersections],
        pixels: Tensor,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        attributes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        attributes = dense(attributes)
        samples = torch.empty(len(pixels), attributes.shape[1])
        alpha = torch.empty(len(pixels))
        status = library.library().splatseg_render_pixels(
            projected.tiles.handle,
            attributes.shape[1],
            attributes.data_ptr(),
            len(pixels),
            *[t.data_ptr() for t in (pixels, samples, alpha)],
        )
        library.check(status, f"render {len(pixels)} pixels")
        ctx.save_for_backward(attributes, pixels)
        ctx.tiles, ctx.geometry = projected.tiles, (means2d.shape, conics.shape, opacities.shape)
        ctx.set_materialize_grads(False)
        return samples, alpha

    @staticmethod
    def backward(ctx: Any, grad_samples: Tensor | None, grad_alpha: Tensor | None) -> Grads:  # type: ignore[override]
        attributes, pixels = ctx.saved_tensors
        grad_samples = (
            torch.zeros(len(pixels), attributes.shape[1])
            if grad_samples is None
            else dense(grad_samples)
        )
        grad_alpha = None if grad_alpha is None else dense(grad_alpha)
        grads = rasterize_gradients(
            library.library().splatseg_render_pixels_backward,
            (ctx.tiles.handle, attributes.shape[1]),
            (attributes, len(pixels), pixels, grad_samples, grad_alpha),
            ctx.geometry if any(ctx.needs_input_grad[2:5]) else None,
        )
        return (None, None, *grads)


class NativeBackend:
    """The compiled engine: float32 on the CPU, on all its threads."""

    name = "native"

    def renders_on(self, device: torch.device) -> bool:
        """On the CPU, where the engine was compiled."""
        return device.type == "cpu" and library.is_available()

    def project(
        self,
        gaussians: Gaussians,
        camera: Camera,
        sh_degree: int,
        window: Window | None = None,
        buffers: GradientBuffers | None = None,
    ) -> ProjectedGaussians[TileIntersections]:
        """See `splatseg.render.project`."""
        stored = (gaussians.means, gaussians.quats, gaussians.log_scales)
        means2d, *others = Project.apply(
            camera, sh_degree, buffers, *stored, gaussians.logit_opacities, gaussians.sh
        )
        part, means2d = within(window, camera, means2d)
        out = (means2d, *others)
        tiles, visible = library.intersect_tiles(
            projected_struct(tuple(dense(t) for t in out)), len(gaussians), part.width, part.height
        )
        return ProjectedGaussians(part, *out, visible=visible, tiles=tiles, backend=self)

    def rasterize(
        self,
        projected: ProjectedGaussians[TileIntersections],
        attributes: Float[Tensor, "n c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
        """Image (h w c) and alpha (h w), or samples (m c) and alpha (m) at `pixels`."""
        geometry = (projected.means2d, projected.conics, projected.opacities)
        if pixels is None:
            image, alpha = Rasterize.apply(projected, *geometry, attributes)
            return image.permute(1, 2, 0), alpha
        wanted = pixels.to(device="cpu", dtype=torch.int32).contiguous()
        return RasterizePixels.apply(projected, wanted, *geometry, attributes)

    def backproject(
        self,
        projected: ProjectedGaussians[TileIntersections],
        values: Float[Tensor, "... c"],
        pixels: Int[Tensor, "m 2"] | None,
    ) -> Float[Tensor, "n c"]:
        """See `splatseg.render.backproject`."""
        channels = values.shape[-1]
        out = torch.empty(len(projected), channels)
        if pixels is None:
            planar = dense(values.permute(2, 0, 1))
            status = library.library().splatseg_render_backward(
                *(projected.tiles.handle, channels, None, planar.data_ptr()),
                *(None, None, None, None, out.data_ptr()),
            )
        else:
            wanted = pixels.to(device="cpu", dtype=torch.int32).contiguous()
            samples = dense(values)
            status = library.library().splatseg_render_pixels_backward(
                *(projected.tiles.handle, channels, None, len(wanted), wanted.data_ptr()),
                *(samples.data_ptr(), None, None, None, None, out.data_ptr()),
            )
        library.check(status, f"backproject onto {len(projected)} Gaussians")
        return out

    def rasterize_labels(
        self, projected: ProjectedGaussians[TileIntersections], labels: Int[Tensor, " n"]
    ) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
        """See `Backend.rasterize_labels`."""
        names = dense(labels)
        shown, alpha = torch.empty(2, projected.camera.height, projected.camera.width)
        status = library.library().splatseg_render_labels(
            projected.tiles.handle, *[t.data_ptr() for t in (names, shown, alpha)]
        )
        library.check(status, f"render {alpha.numel()} pixels")
        return shown.long(), alpha
