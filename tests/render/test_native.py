"""The native engine, once for each instruction set: what it alone promises."""

import torch
from builders.rendering import GEOMETRY, REFERENCE, mixed_loss, random_attributes, with_gradients

from splatseg import render
from splatseg.render import reference

TOLERANCE = 1e-4  # as builders/rendering.py says


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
            ("reference", with_gradients(gaussians)),
        ):
            out = getattr(render.project(scene, camera, backend=backend), name)
            mix = torch.randn(
                out.shape, generator=generator.manual_seed(1), dtype=torch.float64
            ).to(out)
            stored = [getattr(scene, field) for field in GEOMETRY]
            grads.append([out, *torch.autograd.grad((out * mix).sum(), stored, allow_unused=True)])
        for actual, expected, field in zip(*grads, ("value", *GEOMETRY), strict=True):
            wanted = torch.zeros_like(actual) if expected is None else expected
            native.assert_near(actual, wanted.double(), f"{name}: {field}", TOLERANCE)


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
