"""The native engine against the float64 specification, once for each instruction set."""

from collections.abc import Callable

import pytest
import torch
from builders.rendering import REFERENCE
from torch import Tensor

from splatseg import render
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import Rendered, reference

# Relative to the largest value. float32 keeps 6e-8; an alpha loses two digits in its exponent, and
# a gradient sums hundreds of pixels whose terms cancel.
TOLERANCE = 1e-4
# Depth divides by alpha, which goes down to 1/255: rounding grows that much.
DEPTH_TOLERANCE = 1e-3
# 3DGS's early stop leaves out less than a transmittance of 1e-4, and attributes here are at most 1;
# float32 adds a little.
EARLY_STOP_TOLERANCE = 1.1e-4

GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")
SIZES = ((37, 29), (32, 16), (1, 1), (5, 3), (17, 33), (64, 1))
CHANNELS = (1, 2, 3, 4, 5, 16, 17, 19, 20, 35)


def float64_scene(gaussians: Gaussians) -> Gaussians:
    return Gaussians(**{k: t.clone().requires_grad_() for k, t in gaussians.tensors().items()})


def assert_near(
    actual: Tensor | None, expected: Tensor | None, what: str, tolerance: float = TOLERANCE
) -> None:
    assert actual is not None and expected is not None
    assert actual.shape == expected.shape, what
    if expected.numel() == 0:
        return
    scale = max(expected.abs().max().item(), 1e-30)
    error = (actual.double() - expected).abs().max().item() / scale
    assert error <= tolerance, f"{what}: {error:.2e} relative to the largest value"


def mixed_loss(rendered: Rendered, seed: int = 0) -> Tensor:
    """A random mixture of every value of the image, alpha and (if there is one) depth."""
    generator = torch.Generator().manual_seed(seed)
    loss = torch.zeros((), dtype=rendered.image.dtype)
    for part in (rendered.image, rendered.alpha, rendered.depth):
        if part is not None:
            weights = torch.randn(part.shape, generator=generator, dtype=torch.float64)
            loss = loss + (part * weights.to(part.dtype)).sum()
    return loss


def compare(
    native,
    gaussians: Gaussians,
    camera: Camera,
    attributes: Tensor,
    pixels: Tensor | None = None,
    depth: bool = False,
) -> None:
    """Images and all gradients of color and attributes, natively and in the reference."""
    tolerance = DEPTH_TOLERANCE if depth else TOLERANCE
    results = []
    for name, scene, dtype in (
        ("native", native.scene(gaussians), torch.float32),
        ("reference", float64_scene(gaussians), torch.float64),
    ):
        own = attributes.to(dtype).clone().requires_grad_()
        view = render.project(scene, camera, backend=name)
        channels = torch.cat([view.colors, own], dim=1)
        rendered = render.rasterize(view, channels, pixels, depth=depth)
        mixed_loss(rendered).backward()
        results.append((rendered, scene, own))
    (actual, scene, own), (expected, scene64, own64) = results
    assert_near(actual.image, expected.image, "image")
    assert_near(actual.alpha, expected.alpha, "alpha")
    if depth:
        assert_near(actual.depth, expected.depth, "depth")
    for name in GEOMETRY:
        gradient, gradient64 = getattr(scene, name).grad, getattr(scene64, name).grad
        assert_near(gradient, gradient64, f"gradient of {name}", tolerance)
    assert_near(own.grad, own64.grad, "gradient of the attributes", tolerance)


def random_attributes(count: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(count, channels, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_image_sizes(size, native, threads, make_smooth_gaussians, make_camera):
    camera = make_camera(*size)
    gaussians = make_smooth_gaussians(camera, 17, 1)
    compare(native, gaussians, camera, random_attributes(17, 1))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sh_degrees(degree, native, make_smooth_gaussians, make_camera):
    camera = make_camera(seed=degree)
    gaussians = make_smooth_gaussians(camera, 33, degree)
    compare(native, gaussians, camera, random_attributes(33, 0))


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17])
def test_numbers_of_gaussians(count, native, threads, make_smooth_gaussians, make_camera):
    camera = make_camera(19, 18)
    gaussians = make_smooth_gaussians(camera, count, 2)
    compare(native, gaussians, camera, random_attributes(count, 2))


@pytest.mark.parametrize("channels", CHANNELS)
def test_numbers_of_channels(channels, native, make_smooth_gaussians, make_camera):
    """Any number is composed from the compiled ones; geometry collects all groups' gradients."""
    camera = make_camera(21, 14)
    gaussians = make_smooth_gaussians(camera, 17)
    attributes = random_attributes(17, channels)
    gradients = []
    for name, scene, dtype in (
        ("native", native.scene(gaussians), torch.float32),
        ("reference", float64_scene(gaussians), torch.float64),
    ):
        own = attributes.to(dtype).clone().requires_grad_()
        rendered = render.rasterize(render.project(scene, camera, backend=name), own)
        mixed_loss(rendered).backward()
        gradients.append((rendered.image, rendered.alpha, own.grad, scene.means.grad))
    for actual, expected, what in zip(*gradients, ("image", "alpha", "own", "means"), strict=True):
        assert_near(actual, expected, what)


@pytest.mark.parametrize("channels", [0, 1, 13, 17])
def test_pixel_lists(channels, native, threads, make_smooth_gaussians, make_camera):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30)
    step = torch.arange(50)
    pixels = torch.stack([step * 7 % camera.width, step * 11 % camera.height], dim=1)
    compare(native, gaussians, camera, random_attributes(30, channels), pixels)


@pytest.mark.parametrize("pixels", [None, torch.tensor([[3, 2], [18, 17], [9, 9], [3, 2]])])
def test_depth(pixels: Tensor | None, native, make_smooth_gaussians, make_camera):
    camera = make_camera(19, 18)
    gaussians = make_smooth_gaussians(camera, 17)
    compare(native, gaussians, camera, random_attributes(17, 1), pixels, depth=True)


def test_visible_gaussians(native, make_gaussians, make_camera):
    """All that reach a pixel are visible; the engine's blocks are tighter than bounding boxes."""
    camera, gaussians = make_camera(23, 18), make_gaussians(200)
    gaussians.means[:, :2] *= 2.0
    view = native.project(native.scene(gaussians), camera)
    boxes = REFERENCE.project(gaussians, camera, 0)
    everywhere = torch.cartesian_prod(torch.arange(23), torch.arange(18))
    offsets = everywhere[:, None] + 0.5 - boxes.means2d
    dx, dy = offsets.unbind(-1)
    xx, xy, yy = boxes.conics.unbind(-1)
    alpha = boxes.opacities * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    reached = (alpha >= reference.MIN_ALPHA).any(dim=0)
    assert 0 < reached.sum() < 200
    assert not (reached & ~view.visible).any()
    assert not (view.visible & ~boxes.visible).any()


def test_projection_alone(native, make_smooth_gaussians, make_camera):
    """Every projected value and its own gradient, without the sums of blending in between."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 40, 3)
    names = ("means2d", "conics", "depths", "opacities", "colors")
    generator = torch.Generator().manual_seed(0)
    for name in names:
        grads = []
        for backend, scene in (
            ("native", native.scene(gaussians)),
            ("reference", float64_scene(gaussians)),
        ):
            out = getattr(render.project(scene, camera, backend=backend), name)
            mix = torch.randn(
                out.shape, generator=generator.manual_seed(1), dtype=torch.float64
            ).to(out)
            stored = [getattr(scene, field) for field in GEOMETRY]
            grads.append([out, *torch.autograd.grad((out * mix).sum(), stored, allow_unused=True)])
        for actual, expected, field in zip(*grads, ("value", *GEOMETRY), strict=True):
            wanted = torch.zeros_like(actual) if expected is None else expected
            assert_near(actual, wanted.double(), f"{name}: {field}")


def test_outside_the_margin(native, make_smooth_gaussians, make_camera):
    """Large Gaussians centered far off the image still reach it, with a held Jacobian."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 8)
    offsets = torch.tensor([4.0, -4.0, 0.0, 0.0, 4.0, -4.0, 0.0, 0.0], dtype=torch.float64)
    gaussians.means[:, 0] += offsets
    gaussians.means[:, 1] += offsets.roll(2)
    gaussians.log_scales[:] += 2.5
    compare(native, gaussians, camera, random_attributes(8, 0))


def opaque_stack(make_gaussians: Callable[..., Gaussians]) -> Gaussians:
    """Sixty almost opaque, wide Gaussians behind each other."""
    gaussians = make_gaussians(60)
    gaussians.means[:, :2] *= 0.3
    gaussians.log_scales[:] = -0.5 + 0.2 * gaussians.log_scales
    gaussians.logit_opacities[:] = 3.0
    return gaussians


def test_early_stop(native, threads, make_gaussians, make_camera):
    camera, gaussians = make_camera(), opaque_stack(make_gaussians)
    attributes = random_attributes(60, 3)
    expected = render.rasterize(render.project(gaussians, camera, backend="reference"), attributes)
    assert expected.alpha.max() > 1 - 1e-6, "nothing stops early in this scene"
    scene = native.scene(gaussians)
    view = native.project(scene, camera)
    own = attributes.float().requires_grad_()
    rendered = render.rasterize(view, own)
    assert (rendered.image - expected.image).abs().max() < EARLY_STOP_TOLERANCE
    assert (rendered.alpha - expected.alpha).abs().max() < EARLY_STOP_TOLERANCE
    everywhere = torch.cartesian_prod(torch.arange(camera.width), torch.arange(camera.height))
    samples = render.rasterize(view, own, everywhere)
    there = expected.image[everywhere[:, 1], everywhere[:, 0]]
    assert (samples.image - there).abs().max() < EARLY_STOP_TOLERANCE
    for result in (rendered, samples):
        parameters = [scene.means, scene.log_scales, scene.quats, scene.logit_opacities, own]
        grads = torch.autograd.grad(mixed_loss(result), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(g).all()) for g in grads)
    # What the forward pass skips, splatting skips too, so that it stays the transpose.
    values = torch.rand(camera.height, camera.width, 3, generator=torch.manual_seed(0))
    votes = render.backproject(view, values)
    inner = (rendered.image.double() * values).sum()
    torch.testing.assert_close((votes.double() * own).sum(), inner, rtol=1e-5, atol=0.0)


def test_fixed_threads_give_the_same_bits(native, threads, make_gaussians, make_camera):
    camera, gaussians = make_camera(100, 75), make_gaussians(400, 1)
    attributes = random_attributes(400, 5)
    runs = []
    for _ in range(3):
        scene = native.scene(gaussians)
        own = attributes.float().requires_grad_()
        view = native.project(scene, camera)
        rendered = render.rasterize(view, torch.cat([view.colors, own], dim=1), depth=True)
        mixed_loss(rendered).backward()
        grads = [getattr(scene, name).grad for name in GEOMETRY]
        assert rendered.depth is not None
        runs.append([rendered.image, rendered.alpha, rendered.depth, own.grad, *grads])
    for again in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], again, strict=True))


def test_many_gaussians_on_one_tile(native, make_camera, make_gaussians):
    """Lists of thousands, faint enough that none is hidden, in no particular order of depth."""
    camera, count = make_camera(16, 16), 3000
    gaussians = make_gaussians(count)
    gaussians.logit_opacities[:] = -5.2  # just above 1/255
    view = native.project(native.scene(gaussians), camera)
    view64 = REFERENCE.project(gaussians, camera, 0)
    attributes = random_attributes(count, 1)
    actual = render.rasterize(view, attributes.float())
    expected = render.rasterize(view64, attributes)
    # A handful of the 3000 x 256 alphas lie at 1/255 within rounding and appear in one image only.
    assert (actual.image - expected.image).abs().max() < 2 / 255
    assert (actual.image - expected.image).abs().median() < 1e-5
