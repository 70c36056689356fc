"""Broken and extreme Gaussians disappear or have a defined look, and harm no other Gaussian."""

import math
from dataclasses import replace

import pytest
import torch
from builders.rendering import GEOMETRY, INF, NAN, POISON, VICTIM, poisoned
from torch import Tensor

from splatseg import render
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians, concatenate


def loss_and_image(backend, scene: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    view = backend.project(scene, camera)
    rendered = render.rasterize(view, view.colors, depth=True)
    assert rendered.depth is not None
    image = torch.cat([rendered.image, rendered.alpha[..., None]], dim=-1)
    return (image**2).sum() + rendered.depth.sum(), image


def assert_finite_gradients(scene: Gaussians, names: tuple[str, ...] = GEOMETRY) -> None:
    for name in names:
        assert bool(getattr(scene, name).grad.isfinite().all()), name


@pytest.mark.parametrize("poison", POISON)
def test_a_broken_gaussian_is_invisible_and_harms_no_other(
    poison, backend, make_smooth_gaussians, make_camera
):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 20, 1)
    others = torch.arange(20) != VICTIM
    healthy = backend.scene(gaussians.select(others))
    broken = backend.scene(poisoned(gaussians, *POISON[poison]))
    loss, image = loss_and_image(backend, broken, camera)
    expected_loss, expected = loss_and_image(backend, healthy, camera)
    assert torch.equal(image, expected)
    view = backend.project(broken, camera)
    assert not view.visible[VICTIM] and not view.opacities[VICTIM] > 1 / 255
    pixels = torch.tensor([[5, 5], [18, 14]])
    samples = render.rasterize(view, view.colors, pixels).image
    torch.testing.assert_close(samples, expected[pixels[:, 1], pixels[:, 0], :3])
    votes = render.backproject(view, torch.ones(29, 37, 2, dtype=backend.dtype))
    assert not votes[VICTIM].any() and bool(votes.isfinite().all())
    loss.backward()
    expected_loss.backward()
    for name in GEOMETRY:
        actual, wanted = getattr(broken, name).grad, getattr(healthy, name).grad
        if backend.name == "native" and name not in ("sh", POISON[poison][0]):
            assert bool(actual.isfinite().all())
        scale = wanted.abs().max().item()
        torch.testing.assert_close(actual[others], wanted, rtol=0.0, atol=backend.tolerance * scale)


@pytest.mark.parametrize("depth", [-3.0, -0.02, 0.0, 0.0099])
def test_gaussians_before_the_near_plane_have_zero_gradient(
    depth, backend, make_gaussians, make_camera
):
    """At the camera's center a color has no direction; it is finite all the same."""
    camera = make_camera()
    mean = camera.position + depth * camera.cam_from_world[2, :3]
    scene = backend.scene(poisoned(make_gaussians(20, 3), "means", mean.tolist()))
    loss_and_image(backend, scene, camera)[0].backward()
    for name in GEOMETRY:
        assert not getattr(scene, name).grad[VICTIM].any()
    colors = backend.project(scene, camera).colors
    assert bool(colors.isfinite().all())
    colors.sum().backward()
    assert_finite_gradients(scene)


def test_a_zero_quaternion_is_no_rotation(backend, make_smooth_gaussians, make_camera):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 20)
    zero = backend.scene(poisoned(gaussians, "quats", [0.0, 0.0, 0.0, 0.0]))
    identity = backend.scene(poisoned(gaussians, "quats", [1.0, 0.0, 0.0, 0.0]))
    loss, image = loss_and_image(backend, zero, camera)
    assert torch.equal(image, loss_and_image(backend, identity, camera)[1])
    loss.backward()
    assert_finite_gradients(zero)


def test_an_opaque_gaussian_keeps_a_thousandth_of_the_light(backend, make_gaussians, make_camera):
    """Opacity 1 is clamped, so that what lies behind still has a gradient."""
    gaussians = make_gaussians(2)
    gaussians.means[:] = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    gaussians.log_scales[:] = math.log(2.0)
    gaussians.logit_opacities[:] = torch.tensor([INF, 0.0])
    camera = make_camera()
    scene = backend.scene(gaussians)
    view = backend.project(scene, camera)
    column, row = view.means2d[0].floor().long().tolist()
    attributes = torch.eye(2, dtype=backend.dtype)
    rendered = render.rasterize(view, attributes)
    front, back = rendered.image[row, column].tolist()
    assert front == pytest.approx(0.999, abs=1e-6)
    assert 0 < back <= 0.001 * 0.5 + 1e-6
    rendered.image.sum().backward()
    assert_finite_gradients(scene, GEOMETRY[:4])


def test_a_point_gaussian_is_as_wide_as_the_blur(backend, make_gaussians, make_camera):
    in_sight = poisoned(make_gaussians(20), "means", [0.0, 0.0, 3.0])
    scene = backend.scene(poisoned(in_sight, "log_scales", [-INF, -INF, -INF]))
    view = backend.project(scene, make_camera())
    expected = torch.tensor([1 / 0.3, 0.0, 1 / 0.3], dtype=backend.dtype)
    torch.testing.assert_close(view.conics[VICTIM], expected, rtol=1e-6, atol=1e-12)
    assert bool(render.rasterize(view, view.colors).image.isfinite().all())


def test_attributes_of_invisible_gaussians_are_not_read(backend, make_gaussians, make_camera):
    camera = make_camera()
    scene = backend.scene(poisoned(make_gaussians(20), "means", [0.0, 0.0, -3.0]))
    attributes = torch.rand(20, 5, dtype=backend.dtype, generator=torch.manual_seed(0))
    attributes[VICTIM] = NAN
    view = backend.project(scene, camera)
    for pixels in (None, torch.tensor([[18, 14], [0, 0]])):
        image = render.rasterize(view, attributes, pixels).image
        assert bool(image.isfinite().all())
        (gradient,) = torch.autograd.grad(image.sum(), scene.means, retain_graph=True)
        assert bool(gradient.isfinite().all())


def test_extreme_scenes_stay_finite(backend, make_gaussians, make_camera):
    """Needles, sheets, specks and giants near the camera plane, opaque and faint, all at once."""
    camera = make_camera()
    parts = []
    for seed, (scale, spread) in enumerate(((-9.0, 0.1), (2.0, 6.0), (4.0, 0.5), (-2.0, 4.0))):
        part = make_gaussians(50, 2, seed)
        noise = torch.randn(50, 3, dtype=torch.float64, generator=torch.manual_seed(seed))
        depth = torch.linspace(-0.5, 5.0, 50, dtype=torch.float64)
        part = replace(
            part,
            means=torch.cat([part.means[:, :2], depth[:, None]], dim=1),
            log_scales=(scale + spread * noise).clamp_max(8.0),
            logit_opacities=8.0 * part.logit_opacities,
        )
        parts.append(part)
    scene = backend.scene(concatenate(parts))
    loss, image = loss_and_image(backend, scene, camera)
    assert bool(image.isfinite().all())
    assert bool(((image[..., 3] >= 0) & (image[..., 3] <= 1 + backend.tolerance)).all())
    loss.backward()
    assert_finite_gradients(scene)
