"""The native CPU backend: autograd around the compiled engine. `reference.py` is its specification.

The engine works in float32 on planar images (channel, row, column); the tensors handed out are
permuted views of those, so nothing is copied.
"""

import ctypes
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.cameras import Camera
from splatseg.gaussians import Gaussians
from splatseg.render import engine
from splatseg.render.view import View, Window, within

Grads = tuple[Tensor | None, ...]


def dense(tensor: Tensor) -> Tensor:
    """`tensor` as the engine reads it: float32, contiguous, on the CPU."""
    return tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()


def projected_struct(tensors: tuple[Tensor, ...]) -> engine.CProjected:
    """Addresses of means2d, conics, depths, opacities, colors."""
    return engine.CProjected(*[t.data_ptr() for t in tensors])


def gaussians_struct(tensors: tuple[Tensor, ...], sh_degree: int) -> engine.CGaussians:
    """Addresses of means, quats, log_scales, logit_opacities, sh."""
    sh = tensors[4]
    return engine.CGaussians(
        tensors[0].shape[0], *[t.data_ptr() for t in tensors], sh.shape[1], sh_degree
    )


_spare: dict[torch.Size, Tensor] = {}


def recycle(gradients: Iterable[Tensor]) -> None:
    """Give gradients of parameters back, for the next backward pass of projection to write into.

    The caller promises not to read them again. The system hands out large blocks page by page and
    zeroed, which for 200,000 Gaussians takes longer than computing the gradients.
    """
    _spare.clear()
    _spare.update({g.shape: g for g in gradients if g.is_cpu and g.is_contiguous()})


class Project(torch.autograd.Function):
    """Gaussians to means2d, conics, depths, opacities, colors."""

    @staticmethod
    def forward(ctx: Any, camera: Camera, sh_degree: int, *stored: Tensor) -> tuple[Tensor, ...]:
        stored = tuple(dense(t) for t in stored)
        count = stored[0].shape[0]
        out = tuple(torch.empty(count, width) for width in (2, 3, 1, 1, 3))
        out = (out[0], out[1], out[2][:, 0], out[3][:, 0], out[4])
        gaussians, c_camera = gaussians_struct(stored, sh_degree), engine.camera_struct(camera)
        engine.library().splatseg_project(gaussians, c_camera, projected_struct(out))
        ctx.save_for_backward(*stored)
        ctx.camera, ctx.sh_degree = c_camera, sh_degree
        return out

    @staticmethod
    def backward(ctx: Any, *grad_projected: Tensor) -> Grads:  # type: ignore[override]
        stored = ctx.saved_tensors
        incoming = tuple(dense(g) for g in grad_projected)
        grads = tuple(_spare.pop(t.shape, None) for t in stored)
        grads = tuple(
            torch.empty_like(t) if g is None else g for g, t in zip(grads, stored, strict=True)
        )
        engine.library().splatseg_project_backward(
            gaussians_struct(stored, ctx.sh_degree),
            ctx.camera,
            projected_struct(incoming),
            *[g.data_ptr() for g in grads],
        )
        return (None, None, *grads)


def project(
    gaussians: Gaussians, camera: Camera, sh_degree: int, window: Window | None = None
) -> View:
    """See `splatseg.render.project`."""
    stored = (gaussians.means, gaussians.quats, gaussians.log_scales)
    means2d, *others = Project.apply(
        camera, sh_degree, *stored, gaussians.logit_opacities, gaussians.sh
    )
    part, means2d = within(window, camera, means2d)
    out = (means2d, *others)
    bins, visible = engine.bin_gaussians(
        projected_struct(tuple(dense(t) for t in out)), len(gaussians), part.width, part.height
    )
    return View(part, *out, visible=visible, bins=bins)


def blending_gradients(
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
    arguments = [x if isinstance(x, int) else engine.pointer(x) for x in (*inputs, *grads)]
    engine.check(backward(*head, *arguments), f"differentiate {len(attributes)} Gaussians")
    return grads


class Blend(torch.autograd.Function):
    """Attributes of a view to a planar image and alpha."""

    @staticmethod
    def forward(
        ctx: Any, view: View, means2d: Tensor, conics: Tensor, opacities: Tensor, attributes: Tensor
    ) -> tuple[Tensor, Tensor]:
        camera, attributes = view.camera, dense(attributes)
        image = torch.empty(attributes.shape[1], camera.height, camera.width)
        alpha = torch.empty(camera.height, camera.width)
        status = engine.library().splatseg_render(
            view.bins.handle,
            attributes.shape[1],
            *[t.data_ptr() for t in (attributes, image, alpha)],
        )
        engine.check(status, f"render {camera.width}x{camera.height} pixels")
        ctx.save_for_backward(attributes)
        ctx.bins, ctx.camera = view.bins, camera
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
        grads = blending_gradients(
            engine.library().splatseg_render_backward,
            (ctx.bins.handle, channels),
            (attributes, grad_image, grad_alpha),
            ctx.geometry if any(ctx.needs_input_grad[1:4]) else None,
        )
        return (None, *grads)


class BlendPixels(torch.autograd.Function):
    """Attributes of a view to samples at chosen pixels, and their alpha."""

    @staticmethod
    def forward(
        ctx: Any,
        view: View,
        pixels: Tensor,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        attributes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        attributes = dense(attributes)
        samples = torch.empty(len(pixels), attributes.shape[1])
        alpha = torch.empty(len(pixels))
        status = engine.library().splatseg_render_pixels(
            view.bins.handle,
            attributes.shape[1],
            attributes.data_ptr(),
            len(pixels),
            *[t.data_ptr() for t in (pixels, samples, alpha)],
        )
        engine.check(status, f"render {len(pixels)} pixels")
        ctx.save_for_backward(attributes, pixels)
        ctx.bins, ctx.geometry = view.bins, (means2d.shape, conics.shape, opacities.shape)
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
        grads = blending_gradients(
            engine.library().splatseg_render_pixels_backward,
            (ctx.bins.handle, attributes.shape[1]),
            (attributes, len(pixels), pixels, grad_samples, grad_alpha),
            ctx.geometry if any(ctx.needs_input_grad[2:5]) else None,
        )
        return (None, None, *grads)


def blend(
    view: View, attributes: Float[Tensor, "n c"], pixels: Int[Tensor, "m 2"] | None
) -> tuple[Float[Tensor, "... c"], Float[Tensor, "..."]]:
    """Image (h w c) and alpha (h w), or samples (m c) and alpha (m) at `pixels`."""
    geometry = (view.means2d, view.conics, view.opacities)
    if pixels is None:
        image, alpha = Blend.apply(view, *geometry, attributes)
        return image.permute(1, 2, 0), alpha
    wanted = pixels.to(device="cpu", dtype=torch.int32).contiguous()
    return BlendPixels.apply(view, wanted, *geometry, attributes)


def splat(
    view: View, values: Float[Tensor, "... c"], pixels: Int[Tensor, "m 2"] | None
) -> Float[Tensor, "n c"]:
    """See `splatseg.render.splat`."""
    channels = values.shape[-1]
    out = torch.empty(len(view), channels)
    if pixels is None:
        planar = dense(values.permute(2, 0, 1))
        status = engine.library().splatseg_render_backward(
            *(view.bins.handle, channels, None, planar.data_ptr()),
            *(None, None, None, None, out.data_ptr()),
        )
    else:
        wanted = pixels.to(device="cpu", dtype=torch.int32).contiguous()
        samples = dense(values)
        status = engine.library().splatseg_render_pixels_backward(
            *(view.bins.handle, channels, None, len(wanted), wanted.data_ptr()),
            *(samples.data_ptr(), None, None, None, None, out.data_ptr()),
        )
    engine.check(status, f"splat onto {len(view)} Gaussians")
    return out


def blend_labels(
    view: View, labels: Int[Tensor, " n"]
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """The label with most blending weight at every pixel, 0 where nothing was hit; and alpha."""
    names = dense(labels)
    shown, alpha = torch.empty(2, view.camera.height, view.camera.width)
    status = engine.library().splatseg_render_labels(
        view.bins.handle, *[t.data_ptr() for t in (names, shown, alpha)]
    )
    engine.check(status, f"render {alpha.numel()} pixels")
    return shown.long(), alpha


class Photometric(torch.autograd.Function):
    """Fused (1 - w) L1 + w (1 - SSIM) of two h w c images."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, reference: Tensor, ssim_weight: float) -> Tensor:
        planar, target = dense(image.permute(2, 0, 1)), dense(reference.permute(2, 0, 1))
        grad = torch.empty_like(planar) if ctx.needs_input_grad[0] else None
        l1, ssim = photometric_parts(planar, target, ssim_weight, grad)
        ctx.grad = grad
        return image.new_tensor((1 - ssim_weight) * l1 + ssim_weight * (1 - ssim))

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> Grads:  # type: ignore[override]
        return (ctx.grad.permute(1, 2, 0) * grad_loss, None, None)


def photometric_parts(
    planar: Tensor, target: Tensor, ssim_weight: float, grad: Tensor | None
) -> tuple[float, float]:
    """Mean absolute difference and SSIM of two planar images; fills `grad` of their mixture."""
    parts = (ctypes.c_double * 2)()
    status = engine.library().splatseg_photometric(
        *planar.shape,
        planar.data_ptr(),
        target.data_ptr(),
        ssim_weight,
        parts,
        engine.pointer(grad),
    )
    engine.check(status, f"compare {planar.shape[2]}x{planar.shape[1]} images")
    return parts[0], parts[1]
