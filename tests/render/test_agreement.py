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
)

from splatseg import render

MIN_TRANSMITTANCE = 1e-4  # at which 3DGS and its kin stop
SOME_PIXELS = torch.tensor([[3, 2], [18, 17], [9, 9], [3, 2]])

# What differs from 17 Gaussians of degree 0 with one attribute, in an image of 37x29.
CASES = [
    *({"size": size, "degree": 1} for size in ((37, 29), (32, 16), (1, 1), (5, 3), (17, 33))),
    {"size": (64, 1), "degree": 1},
    *({"count": 33, "degree": degree, "channels": 0} for degree in range(4)),
    *({"size": (19, 18), "count": count, "degree": 2} for count in (1, 2, 15, 16, 17)),
    # Any number of channels is composed from the compiled ones.
    *(
        {"size": (21, 14), "channels": channels, "colors": False}
        for channels in (1, 2, 3, 4, 5, 13, 16, 17, 19, 20, 30, 35, 67)
    ),
    *({"count": 30, "channels": channels, "pixels": True} for channels in (0, 1, 13, 17)),
    *({"size": (19, 18), "pixels": pixels, "depth": True} for pixels in (None, SOME_PIXELS)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case.values())))
def test_images_and_gradients(case, fast, make_smooth_gaussians, make_camera):
    """Pixels are given on the CPU, as clicks are; some twice."""
    settings = {"size": (37, 29), "count": 17, "degree": 0, "channels": 1} | case
    size, count, degree, channels = map(settings.pop, ("size", "count", "degree", "channels"))
    camera = make_camera(*size, seed=degree)
    if settings.get("pixels") is True:
        step = torch.arange(50)
        settings["pixels"] = torch.stack([step * 7 % size[0], step * 11 % size[1]], dim=1)
        settings["pixels"][-1] = settings["pixels"][0]
    gaussians = make_smooth_gaussians(camera, count, degree, FAST_CUTOFF_DISTANCE)
    compare(fast, gaussians, camera, random_attributes(count, channels), **settings)


def test_outside_the_margin(fast, make_smooth_gaussians, make_camera):
    """Large Gaussians centered far off the image still reach it, with a held Jacobian."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 8, 0, FAST_CUTOFF_DISTANCE)
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
    whole = render.rasterize(view, own)
    listed = render.rasterize(view, own, torch.cartesian_prod(*map(torch.arange, (29, 37))).flip(1))
    for rendered in (whole, listed):
        for actual, wanted in ((rendered.image, expected.image), (rendered.alpha, expected.alpha)):
            assert (actual.cpu().reshape(wanted.shape) - wanted).abs().max() < left_out
        inputs = [*(getattr(scene, name) for name in GEOMETRY[:4]), own]
        gradients = torch.autograd.grad(mixed_loss(rendered), inputs, retain_graph=True)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    # What the forward pass skips, backprojection skips too, so that it stays the transpose.
    values = fast.to(torch.rand(29, 37, 3, generator=torch.manual_seed(0)))
    votes = render.backproject(view, values)
    inner = (whole.image.double() * values).sum()
    torch.testing.assert_close((votes.double() * own).sum(), inner, rtol=1e-4, atol=0.0)


def test_an_empty_scene_is_black(fast, make_gaussians, make_camera):
    """gsplat would divide by the number of Gaussians, which ends the process."""
    view = fast.project(fast.scene(make_gaussians(0)), make_camera())
    rendered = render.rasterize(view, view.colors, depth=True)
    assert rendered.image.shape == (29, 37, 3) and not rendered.image.any()
    assert rendered.image.device.type == fast.device.type
    assert render.backproject(view, fast.to(torch.rand(29, 37, 2))).shape == (0, 2)
