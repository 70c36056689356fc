"""Every backend that is not the specification agrees with it, in float64: images and gradients."""

import pytest
import torch
from builders.rendering import (
    FAST_CUTOFF_DISTANCE,
    GEOMETRY,
    REFERENCE,
    compare,
    mixed_loss,
    random_attributes,
    with_gradients,
)

from splatseg import render

MIN_TRANSMITTANCE = 1e-4  # at which 3DGS and its kin stop


@pytest.fixture
def make_scene(make_smooth_gaussians):
    """A float64 scene as far from all cut-offs as the less exact arithmetic needs."""

    def make(camera, count=17, degree=0):
        return make_smooth_gaussians(camera, count, degree, FAST_CUTOFF_DISTANCE)

    return make


@pytest.mark.parametrize("size", [(37, 29), (32, 16), (1, 1), (5, 3), (17, 33), (64, 1)], ids=str)
def test_image_sizes(size, fast, make_scene, make_camera):
    camera = make_camera(*size)
    compare(fast, make_scene(camera, 17, 1), camera, random_attributes(17, 1))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sh_degrees(degree, fast, make_scene, make_camera):
    camera = make_camera(seed=degree)
    compare(fast, make_scene(camera, 33, degree), camera, random_attributes(33, 0))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17])
def test_numbers_of_gaussians(count, fast, make_scene, make_camera):
    camera = make_camera(19, 18)
    compare(fast, make_scene(camera, count, 2), camera, random_attributes(count, 2))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 13, 16, 17, 19, 20, 30, 35, 67])
def test_numbers_of_channels(channels, fast, make_scene, make_camera):
    """Any number is composed from the compiled ones; geometry collects all groups' gradients."""
    camera = make_camera(21, 14)
    gaussians, attributes = make_scene(camera), random_attributes(17, channels)
    results = []
    for scene, name in (
        (fast.scene(gaussians), fast.name),
        (with_gradients(gaussians), "reference"),
    ):
        own = attributes.to(scene.means).requires_grad_()
        rendered = render.rasterize(render.project(scene, camera, backend=name), own)
        mixed_loss(rendered).backward()
        results.append((rendered.image, rendered.alpha, own.grad, scene.means.grad))
    for actual, expected, what in zip(*results, ("image", "alpha", "own", "means"), strict=True):
        fast.assert_near(actual, expected, what)


@pytest.mark.parametrize("channels", [0, 1, 13, 17])
def test_pixel_lists(channels, fast, make_scene, make_camera):
    """Pixels are given on the CPU, as clicks are; some twice."""
    camera = make_camera()
    step = torch.arange(50)
    pixels = torch.stack([step * 7 % camera.width, step * 11 % camera.height], dim=1)
    pixels[-1] = pixels[0]
    compare(fast, make_scene(camera, 30), camera, random_attributes(30, channels), pixels)


@pytest.mark.parametrize("pixels", [None, torch.tensor([[3, 2], [18, 17], [9, 9], [3, 2]])])
def test_depth(pixels, fast, make_scene, make_camera):
    camera = make_camera(19, 18)
    compare(fast, make_scene(camera), camera, random_attributes(17, 1), pixels, depth=True)


def test_outside_the_margin(fast, make_scene, make_camera):
    """Large Gaussians centered far off the image still reach it, with a held Jacobian."""
    camera = make_camera()
    gaussians = make_scene(camera, 8)
    offsets = torch.tensor([4.0, -4.0, 0.0, 0.0, 4.0, -4.0, 0.0, 0.0], dtype=torch.float64)
    gaussians.means[:, 0] += offsets
    gaussians.means[:, 1] += offsets.roll(2)
    gaussians.log_scales[:] += 2.5
    compare(fast, gaussians, camera, random_attributes(8, 0))


def test_early_stop(fast, make_gaussians, make_camera):
    """Sixty almost opaque, wide Gaussians behind each other."""
    camera, gaussians = make_camera(), make_gaussians(60)
    gaussians.means[:, :2] *= 0.3
    gaussians.log_scales[:] = -0.5 + 0.2 * gaussians.log_scales
    gaussians.logit_opacities[:] = 3.0
    attributes = random_attributes(60, 3)
    expected = render.rasterize(REFERENCE.project(gaussians, camera, 0), attributes)
    assert expected.alpha.max() > 1 - 1e-6, "nothing stops early in this scene"
    # Attributes are at most 1, so this much may be missing, and rounding. Where T (1 - alpha) would
    # fall to 1e-4 gsplat, unlike our engine, leaves that Gaussian out too.
    left_out = 1.1 * MIN_TRANSMITTANCE
    if fast.name == "gsplat":
        left_out = MIN_TRANSMITTANCE / (1 - gaussians.opacities.max().item()) + fast.tolerance
    scene = fast.scene(gaussians)
    view, own = fast.project(scene, camera), fast.to(attributes).requires_grad_()
    rows, columns = torch.meshgrid(torch.arange(29), torch.arange(37), indexing="ij")
    whole = render.rasterize(view, own)
    listed = render.rasterize(view, own, torch.stack([columns, rows], dim=-1).view(-1, 2))
    for rendered in (whole, listed):
        for actual, wanted in ((rendered.image, expected.image), (rendered.alpha, expected.alpha)):
            assert (actual.cpu().reshape(wanted.shape) - wanted).abs().max() < left_out
        inputs = [*(getattr(scene, name) for name in GEOMETRY[:4]), own]
        gradients = torch.autograd.grad(mixed_loss(rendered), inputs, retain_graph=True)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    # What the forward pass skips, backprojection skips too, so that it stays the transpose.
    values = fast.to(torch.rand(29, 37, 3, generator=torch.manual_seed(0)))
    inner = (whole.image.double() * values).sum()
    votes = render.backproject(view, values)
    assert not votes.requires_grad
    torch.testing.assert_close((votes.double() * own).sum(), inner, rtol=1e-4, atol=0.0)


def test_an_empty_scene_is_black(fast, make_gaussians, make_camera):
    """gsplat would divide by the number of Gaussians, which ends the process."""
    view = fast.project(fast.scene(make_gaussians(0)), make_camera())
    rendered = render.rasterize(view, view.colors, depth=True)
    assert rendered.image.shape == (29, 37, 3) and not rendered.image.any()
    assert rendered.image.device.type == fast.device.type
    assert render.backproject(view, fast.to(torch.rand(29, 37, 2))).shape == (0, 2)
