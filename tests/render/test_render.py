"""What holds for every backend: invariances, the transpose, pixel lists, reuse, refusals."""

import math

import pytest
import torch
from torch import Tensor

from splatseg import render
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import rotation_matrices
from splatseg.render import Rendered

GEOMETRY = ("means", "quats", "log_scales", "logit_opacities")


def assert_same(backend, actual: Tensor | None, expected: Tensor | None) -> None:
    assert actual is not None and expected is not None
    scale = max(expected.abs().max().item(), 1e-30) if expected.numel() > 0 else 1.0
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=backend.tolerance * scale)


def image_of(backend, gaussians: Gaussians, camera: Camera) -> Rendered:
    view = backend.project(gaussians, camera)
    return render.rasterize(view, view.colors, depth=True)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Quaternion product, wxyz."""
    w1, x1, y1, z1 = a.unbind(-1)
    w2, x2, y2, z2 = b.unbind(-1)
    rows = (
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
    )
    return torch.stack(rows, dim=-1)


def changed(gaussians: Gaussians, **values: Tensor) -> Gaussians:
    return Gaussians(**(gaussians.tensors() | values))


def with_pose(camera: Camera, pose: Tensor) -> Camera:
    return Camera(**(camera.__dict__ | {"cam_from_world": pose}))


def test_scaling_scene_and_camera_together_keeps_the_image(
    backend, make_smooth_gaussians, make_camera
):
    camera, factor = make_camera(), 3.0
    gaussians = make_smooth_gaussians(camera, 30, 2)
    scaled = changed(
        gaussians,
        means=gaussians.means * factor,
        log_scales=gaussians.log_scales + math.log(factor),
    )
    pose = camera.cam_from_world.clone()
    pose[:3, 3] *= factor
    before = image_of(backend, backend.scene(gaussians), camera)
    after = image_of(backend, backend.scene(scaled), with_pose(camera, pose))
    assert_same(backend, after.image, before.image)
    assert_same(backend, after.alpha, before.alpha)
    assert before.depth is not None
    assert_same(backend, after.depth, factor * before.depth)


def test_moving_world_and_camera_together_keeps_the_image(
    backend, make_smooth_gaussians, make_camera
):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30, 0)  # higher harmonics would have to turn as well
    quat = torch.tensor([[0.5, -0.7, 0.4, 0.3]], dtype=torch.float64)
    world_from_old = torch.eye(4, dtype=torch.float64)
    world_from_old[:3, :3] = rotation_matrices(quat)[0]
    world_from_old[:3, 3] = torch.tensor([0.3, -1.2, 0.7])
    moved = changed(
        gaussians,
        means=gaussians.means @ world_from_old[:3, :3].T + world_from_old[:3, 3],
        quats=product(quat.expand_as(gaussians.quats), gaussians.quats),
    )
    pose = camera.cam_from_world @ torch.linalg.inv(world_from_old)
    before = image_of(backend, backend.scene(gaussians), camera)
    after = image_of(backend, backend.scene(moved), with_pose(camera, pose))
    assert_same(backend, after.image, before.image)
    assert_same(backend, after.alpha, before.alpha)
    assert_same(backend, after.depth, before.depth)


@pytest.mark.parametrize(("left", "top"), [(1, 0), (3, 5), (4, 4), (6, 1)])
def test_a_crop_is_a_shift_of_the_principal_point(
    left, top, backend, make_smooth_gaussians, make_camera
):
    """Tiles and blocks start at the image's corner, wherever that is."""
    camera = make_camera(41, 35)
    gaussians = make_smooth_gaussians(camera, 30)
    gaussians.means[:, :2] *= 0.5  # off the margins of both
    cropped = Camera(
        camera.cam_from_world,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx - left,
        cy=camera.cy - top,
        width=camera.width - left - 2,
        height=camera.height - top - 1,
    )
    whole = image_of(backend, backend.scene(gaussians), camera)
    part = image_of(backend, backend.scene(gaussians), cropped)
    rows, columns = slice(top, top + cropped.height), slice(left, left + cropped.width)
    assert_same(backend, part.image, whole.image[rows, columns])
    assert_same(backend, part.alpha, whole.alpha[rows, columns])


def test_permuting_gaussians_permutes_gradients(
    backend, threads, make_smooth_gaussians, make_camera
):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30, 1)
    order = torch.randperm(30, generator=torch.manual_seed(0))
    scene, shuffled = backend.scene(gaussians), backend.scene(gaussians.select(order))
    images = [image_of(backend, s, camera) for s in (scene, shuffled)]
    assert_same(backend, images[1].image, images[0].image)
    for image in images:
        (image.image**2).sum().backward()
    for name in (*GEOMETRY, "sh"):
        gradient = getattr(scene, name).grad
        assert_same(backend, getattr(shuffled, name).grad, gradient[order])


@pytest.mark.parametrize("factor", [-1.0, 0.01, 30.0])
def test_the_length_of_a_quaternion_does_not_matter(
    factor, backend, make_smooth_gaussians, make_camera
):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera)
    scene = backend.scene(gaussians)
    longer = backend.scene(changed(gaussians, quats=factor * gaussians.quats))
    images = [image_of(backend, s, camera) for s in (scene, longer)]
    assert_same(backend, images[1].image, images[0].image)
    for image in images:
        (image.image**2).sum().backward()
    assert scene.quats.grad is not None and longer.quats.grad is not None
    assert_same(backend, factor * longer.quats.grad, scene.quats.grad)
    # So the gradient has no part along the quaternion.
    along = (scene.quats * scene.quats.grad).sum(dim=-1)
    assert along.abs().max() < backend.tolerance * scene.quats.grad.abs().max() * 10


def test_rendering_is_linear_in_the_attributes(backend, make_gaussians, make_camera):
    view = backend.project(backend.scene(make_gaussians()), make_camera())
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 17, 5, generator=generator, dtype=backend.dtype)
    mixed = render.rasterize(view, 2 * a - 3 * b).image
    expected = 2 * render.rasterize(view, a).image - 3 * render.rasterize(view, b).image
    assert_same(backend, mixed, expected)
    ones = render.rasterize(view, torch.ones(17, 1, dtype=backend.dtype))
    assert_same(backend, ones.image[..., 0], ones.alpha)


@pytest.mark.parametrize("channels", [1, 3, 5, 16, 19])
def test_backproject_is_the_transpose_of_render(
    channels, backend, threads, make_gaussians, make_camera
):
    camera = make_camera()
    view = backend.project(backend.scene(make_gaussians(40)), camera)
    generator = torch.Generator().manual_seed(channels)
    a = torch.rand(40, channels, generator=generator, dtype=backend.dtype)
    v = torch.rand(29, 37, channels, generator=generator, dtype=backend.dtype)
    pixels = torch.randint(0, 29, (60, 2), generator=generator)
    samples = torch.rand(60, channels, generator=generator, dtype=backend.dtype)
    votes = render.backproject(view, v)
    assert votes.shape == (40, channels)
    assert_same(backend, (a * votes).sum(), (render.rasterize(view, a).image * v).sum())
    votes = render.backproject(view, samples, pixels)
    image = render.rasterize(view, a, pixels).image
    assert_same(backend, (a * votes).sum(), (image * samples).sum())


def test_backproject_is_the_gradient_of_the_attributes(backend, make_gaussians, make_camera):
    view = backend.project(backend.scene(make_gaussians()), make_camera()).detach()
    a = torch.zeros(17, 3, dtype=backend.dtype, requires_grad=True)
    image = render.rasterize(view, a).image
    (gradient,) = torch.autograd.grad(image.sum(), a)
    assert_same(backend, render.backproject(view, torch.ones_like(image)), gradient)


def test_a_pixel_list_picks_from_the_image(backend, threads, make_smooth_gaussians, make_camera):
    """The corners, duplicates and any integer type; gradients are those of a masked image."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30, 1)
    generator = torch.Generator().manual_seed(0)
    inside = torch.stack(
        [torch.randint(0, size, (25,), generator=generator) for size in (37, 29)], dim=1
    )
    corners = torch.tensor([[0, 0], [36, 28], [0, 28], [36, 0], [36, 28]])
    pixels = torch.cat([inside, corners, inside[:7]])
    columns, rows = pixels.unbind(-1)
    weights = torch.randn(len(pixels), 4, generator=generator, dtype=backend.dtype)

    whole_scene, listed_scene = backend.scene(gaussians), backend.scene(gaussians)
    whole = image_of(backend, whole_scene, camera)
    view = backend.project(listed_scene, camera)
    listed = render.rasterize(view, view.colors, pixels.int(), depth=True)
    assert whole.depth is not None and listed.depth is not None
    assert_same(backend, listed.image, whole.image[rows, columns])
    assert_same(backend, listed.alpha, whole.alpha[rows, columns])
    assert_same(backend, listed.depth, whole.depth[rows, columns])
    (listed.image * weights[:, :3]).sum().backward(retain_graph=True)
    (listed.alpha * weights[:, 3]).sum().backward()
    image, alpha = torch.zeros_like(whole.image), torch.zeros_like(whole.alpha)
    image.index_put_((rows, columns), weights[:, :3], accumulate=True)
    alpha.index_put_((rows, columns), weights[:, 3], accumulate=True)
    ((whole.image * image).sum() + (whole.alpha * alpha).sum()).backward()
    for name in (*GEOMETRY, "sh"):
        assert_same(backend, getattr(listed_scene, name).grad, getattr(whole_scene, name).grad)


def test_an_empty_pixel_list_gives_nothing(backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians())
    view = backend.project(scene, make_camera())
    none = torch.empty(0, 2, dtype=torch.long)
    rendered = render.rasterize(view, view.colors, none, depth=True)
    assert rendered.image.shape == (0, 3) and rendered.alpha.shape == (0,)
    rendered.image.sum().backward()
    assert scene.means.grad is not None and not scene.means.grad.any()
    votes = render.backproject(view, torch.empty(0, 2, dtype=backend.dtype), none)
    assert torch.equal(votes, torch.zeros_like(votes)) and votes.shape == (17, 2)


@pytest.mark.parametrize("window", [(0, 0, 7, 5), (3, 2, 9, 11), (1, 0, 4, 1)])
def test_a_window_has_the_pixels_of_the_whole_image(
    backend, window, make_smooth_gaussians, make_camera
):
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 40, 2).to(backend.dtype)
    whole = image_of(backend, gaussians, camera)
    view = render.project(gaussians, camera, backend=backend.name, window=window)
    part = render.rasterize(view, view.colors, depth=True)
    x, y, width, height = window
    for name in ("image", "alpha", "depth"):
        expected = getattr(whole, name)[y : y + height, x : x + width]
        assert_same(backend, getattr(part, name), expected)


@pytest.mark.parametrize("pixel", [(-1, 0), (0, -1), (37, 0), (0, 29)])
def test_pixels_outside_are_refused(pixel, backend, make_gaussians, make_camera):
    view = backend.project(backend.scene(make_gaussians()), make_camera())
    pixels = torch.tensor([(1, 1), pixel])
    message = rf"pixel \({pixel[0]}, {pixel[1]}\) lies outside the 37x29 image"
    with pytest.raises(SplatsegError, match=message):
        render.rasterize(view, view.colors, pixels)
    with pytest.raises(SplatsegError, match=message):
        render.backproject(view, torch.zeros(2, 1, dtype=backend.dtype), pixels)


def test_a_view_can_be_used_again_and_again(backend, make_gaussians, make_camera):
    """Backprojection before any rendering, other views in between, backward twice."""
    gaussians = backend.scene(make_gaussians(40))
    view = backend.project(gaussians, make_camera())
    ones = torch.ones(29, 37, 2, dtype=backend.dtype)
    votes = render.backproject(view, ones)
    first = render.rasterize(view, view.colors)
    others = [backend.project(gaussians, make_camera(53, 18, seed)) for seed in range(4)]
    for other in others:
        render.rasterize(other, other.colors)
    del others, other
    second = render.rasterize(view, view.colors)
    wide = render.rasterize(view, view.colors.repeat(1, 6))
    assert torch.equal(second.image, first.image) and torch.equal(second.alpha, first.alpha)
    assert_same(backend, wide.image, first.image.repeat(1, 1, 6))
    assert torch.equal(render.backproject(view, ones), votes)
    grads = [
        torch.autograd.grad(r.image.sum(), gaussians.means, retain_graph=True)[0]
        for r in (first, second, first)
    ]
    assert torch.equal(grads[0], grads[1]) and torch.equal(grads[0], grads[2])


def test_detached_views_send_no_gradient_to_geometry(backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians(features=4))
    view = backend.project(scene, make_camera())
    attached = render.rasterize(view, scene.features)
    detached = render.rasterize(view.detach(), scene.features)
    assert torch.equal(attached.image, detached.image)
    attached.image.sum().backward(retain_graph=True)
    assert scene.features.grad is not None and scene.means.grad is not None
    expected, scene.features.grad, scene.means.grad = scene.features.grad, None, None
    detached.image.sum().backward()
    assert scene.means.grad is None
    assert_same(backend, scene.features.grad, expected)


def test_gradients_of_alpha_alone(backend, make_smooth_gaussians, make_camera):
    """Alpha is the image of constant 1, so the two have the same gradient."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera)
    pixels = torch.tensor([[3, 4], [20, 11], [36, 28]])
    for wanted in (None, pixels):
        scenes = [backend.scene(gaussians), backend.scene(gaussians)]
        ones = torch.ones(17, 1, dtype=backend.dtype)
        render.rasterize(backend.project(scenes[0], camera), ones, wanted).alpha.sum().backward()
        render.rasterize(backend.project(scenes[1], camera), ones, wanted).image.sum().backward()
        for name in GEOMETRY:
            assert_same(backend, getattr(scenes[0], name).grad, getattr(scenes[1], name).grad)


@pytest.mark.parametrize("degree", [0, 1, 2, 7])
def test_sh_degree_limits_the_harmonics(degree, backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians(degree=3))
    sh = scene.sh.detach().clone()
    sh[:, (degree + 1) ** 2 :] = 0
    limited = backend.project(scene, make_camera(), sh_degree=degree)
    expected = backend.project(changed(scene, sh=sh), make_camera())
    assert_same(backend, limited.colors, expected.colors)
    (gradient,) = torch.autograd.grad(limited.colors.sum(), scene.sh)
    assert not gradient[:, (degree + 1) ** 2 :].any()


def test_render_of_gaussians_is_their_color(make_gaussians, make_camera):
    gaussians, camera = make_gaussians().to(torch.float32), make_camera()
    view = render.project(gaussians, camera)
    pixels = torch.tensor([[2, 3]])
    short = render.render(gaussians, camera)
    assert torch.equal(short.image, render.rasterize(view, view.colors).image)
    assert short.depth is None
    sample = render.render(gaussians, camera, pixels, depth=True)
    assert sample.image.shape == (1, 3) and sample.depth is not None


def test_an_empty_scene_gives_a_black_image(backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians(0))
    view = backend.project(scene, make_camera())
    rendered = render.rasterize(view, view.colors, depth=True)
    for part in (rendered.image, rendered.alpha, rendered.depth):
        assert part is not None and torch.equal(part, torch.zeros_like(part))
    rendered.image.sum().backward()
    votes = render.backproject(view, torch.ones(29, 37, 2, dtype=backend.dtype))
    assert votes.shape == (0, 2)
