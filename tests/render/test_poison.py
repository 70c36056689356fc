"""Broken and extreme Gaussians disappear or have a defined look, and harm no other Gaussian."""

import math

import pytest
import torch
from torch import Tensor

from splatseg import render
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians, concatenate

NAN, INF = math.nan, math.inf
GEOMETRY = ("means", "quats", "log_scales", "logit_opacities", "sh")
OVERFLOW = 400.0  # exp(2 x 400) is infinite in float64, too
VICTIM = 3  # the Gaussian that is broken, in the middle of a vector of sixteen

POISON: dict[str, tuple[str, list[float]]] = {
    "mean NaN": ("means", [NAN, 0.0, 3.0]),
    "depth NaN": ("means", [0.0, 0.0, NAN]),
    "mean infinite": ("means", [INF, 0.0, 3.0]),
    "mean infinitely far": ("means", [0.0, 0.0, INF]),
    "mean minus infinity": ("means", [0.0, 0.0, -INF]),
    "behind the camera": ("means", [0.0, 0.0, -3.0]),
    "quaternion NaN": ("quats", [NAN, 0.0, 0.0, 1.0]),
    "scale NaN": ("log_scales", [0.0, NAN, 0.0]),
    "scale overflows": ("log_scales", [OVERFLOW, OVERFLOW, OVERFLOW]),
    "scale infinite": ("log_scales", [INF, 0.0, 0.0]),
    "opacity NaN": ("logit_opacities", [NAN]),
    "opacity 0": ("logit_opacities", [-INF]),
    "opacity almost 0": ("logit_opacities", [-OVERFLOW]),
}


def poisoned(gaussians: Gaussians, field: str, value: list[float]) -> Gaussians:
    """`gaussians` with one value of the victim replaced."""
    stored = gaussians.tensors()[field].clone()
    stored[VICTIM] = torch.tensor(value).to(stored).reshape(stored[VICTIM].shape)
    return Gaussians(**(gaussians.tensors() | {field: stored}))


def loss_and_image(backend, scene: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    view = backend.project(scene, camera)
    rendered = render.rasterize(view, view.colors, depth=True)
    assert rendered.depth is not None
    image = torch.cat([rendered.image, rendered.alpha[..., None]], dim=-1)
    return (image**2).sum() + rendered.depth.sum(), image


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
    assert torch.equal(samples[0].isfinite(), torch.ones(3, dtype=torch.bool))
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
    camera = make_camera()
    pose = camera.cam_from_world
    mean = pose[:3, :3].T @ (torch.tensor([0.0, 0.0, depth], dtype=torch.float64) - pose[:3, 3])
    scene = backend.scene(poisoned(make_gaussians(20, 3), "means", mean.tolist()))
    loss_and_image(backend, scene, camera)[0].backward()
    for name in GEOMETRY:
        assert not getattr(scene, name).grad[VICTIM].any()


def test_a_zero_quaternion_is_no_rotation(backend, make_smooth_gaussians, make_camera):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 20)
    zero = backend.scene(poisoned(gaussians, "quats", [0.0, 0.0, 0.0, 0.0]))
    identity = backend.scene(poisoned(gaussians, "quats", [1.0, 0.0, 0.0, 0.0]))
    loss, image = loss_and_image(backend, zero, camera)
    assert torch.equal(image, loss_and_image(backend, identity, camera)[1])
    loss.backward()
    for name in GEOMETRY:
        assert bool(getattr(zero, name).grad.isfinite().all())


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
    for name in GEOMETRY[:4]:
        assert bool(getattr(scene, name).grad.isfinite().all())


def test_a_point_gaussian_is_as_wide_as_the_blur(backend, make_gaussians, make_camera):
    in_sight = poisoned(make_gaussians(20), "means", [0.0, 0.0, 3.0])
    scene = backend.scene(poisoned(in_sight, "log_scales", [-INF, -INF, -INF]))
    view = backend.project(scene, make_camera())
    expected = torch.tensor([1 / 0.3, 0.0, 1 / 0.3], dtype=backend.dtype)
    torch.testing.assert_close(view.conics[VICTIM], expected, rtol=1e-6, atol=1e-12)
    assert bool(render.rasterize(view, view.colors).image.isfinite().all())


def test_a_gaussian_at_the_camera_center_is_finite(backend, make_gaussians, make_camera):
    """Its color has no direction."""
    camera = make_camera()
    scene = backend.scene(poisoned(make_gaussians(20, 3), "means", camera.position.tolist()))
    view = backend.project(scene, camera)
    assert bool(view.colors.isfinite().all())
    view.colors.sum().backward()
    assert scene.means.grad is not None and bool(scene.means.grad.isfinite().all())


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
        tensors = {
            "means": torch.stack([part.means[:, 0], part.means[:, 1], depth], dim=1),
            "log_scales": (scale + spread * noise).clamp_max(8.0),
            "logit_opacities": 8.0 * part.logit_opacities,
        }
        parts.append(Gaussians(**(part.tensors() | tensors)))
    scene = backend.scene(concatenate(parts))
    loss, image = loss_and_image(backend, scene, camera)
    assert bool(image.isfinite().all())
    assert bool(((image[..., 3] >= 0) & (image[..., 3] <= 1 + backend.tolerance)).all())
    loss.backward()
    for name in GEOMETRY:
        assert bool(getattr(scene, name).grad.isfinite().all())
