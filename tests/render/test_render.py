"""What holds for every backend: invariances, the transpose, pixel lists, reuse, refusals."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from builders.rendering import GEOMETRY, random_attributes
from torch import Tensor

from splatseg import render
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import quat_product, rotation_matrices
from splatseg.geometry.spherical_harmonics import rotate_sh
from splatseg.render import Rendered

Change = Callable[[Gaussians, Camera], tuple[Gaussians, Camera]]
PARTS = ("image", "alpha", "depth")


def assert_same(backend, actual: Tensor | None, expected: Tensor | None) -> None:
    assert actual is not None and expected is not None
    scale = max(expected.abs().max().item(), 1e-30) if expected.numel() > 0 else 1.0
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=backend.tolerance * scale)


def image_of(backend, gaussians: Gaussians, camera: Camera, pixels=None, window=None) -> Rendered:
    view = render.project(gaussians, camera, backend=backend.name, window=window)
    return render.rasterize(view, view.colors, pixels, depth=True)


def scaled(gaussians: Gaussians, camera: Camera) -> tuple[Gaussians, Camera]:
    pose = camera.cam_from_world.clone()
    pose[:3, 3] *= 3
    larger = gaussians.log_scales + math.log(3)
    return replace(gaussians, means=3 * gaussians.means, log_scales=larger), replace(
        camera, cam_from_world=pose
    )


def moved(gaussians: Gaussians, camera: Camera) -> tuple[Gaussians, Camera]:
    """World and camera together."""
    quat = torch.tensor([0.5, -0.7, 0.4, 0.3], dtype=torch.float64)
    world_from_old = torch.eye(4, dtype=torch.float64)
    world_from_old[:3, :3] = rotation_matrices(quat[None])[0]
    world_from_old[:3, 3] = torch.tensor([0.3, -1.2, 0.7])
    gaussians = replace(
        gaussians,
        means=gaussians.means @ world_from_old[:3, :3].T + world_from_old[:3, 3],
        quats=quat_product(quat, gaussians.quats),
        sh=rotate_sh(gaussians.sh, world_from_old[:3, :3]),
    )
    pose = camera.cam_from_world @ torch.linalg.inv(world_from_old)
    return gaussians, replace(camera, cam_from_world=pose)


def shuffled(gaussians: Gaussians, camera: Camera) -> tuple[Gaussians, Camera]:
    order = torch.randperm(len(gaussians), generator=torch.manual_seed(0))
    return gaussians.select(order), camera


def stretched(factor: float) -> Change:
    """Quaternions of another length."""
    return lambda gaussians, camera: (replace(gaussians, quats=factor * gaussians.quats), camera)


@pytest.mark.parametrize(
    "change",
    [scaled, moved, shuffled, *map(stretched, (-1.0, 0.01, 30.0))],
    ids=["scaled", "moved", "shuffled", "negative quats", "short quats", "long quats"],
)
def test_changes_that_keep_the_image_and_its_gradients(
    change: Change, backend, threads, make_smooth_gaussians, make_camera
):
    """Gradients are those of the unchanged scene, through the change."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30, 2)
    images, gradients = [], []
    for apply in (lambda *same: same, change):
        leaves = {k: t.clone().requires_grad_() for k, t in gaussians.tensors().items()}
        scene, seen_by = apply(Gaussians(**leaves), camera)
        images.append(image_of(backend, scene.to(backend.dtype), seen_by))
        (images[-1].image ** 2).sum().backward()
        gradients.append({name: leaves[name].grad for name in GEOMETRY})
    before, after = images
    assert_same(backend, after.image, before.image)
    assert_same(backend, after.alpha, before.alpha)
    assert_same(backend, after.depth, before.depth * (3 if change is scaled else 1))
    for name in GEOMETRY:
        assert_same(backend, gradients[1][name], gradients[0][name])
    # A quaternion's length does not matter: the gradient has no part along it.
    along = (gaussians.quats * gradients[0]["quats"]).sum(dim=-1)
    assert along.abs().max() < backend.tolerance * gradients[0]["quats"].abs().max() * 10


@pytest.mark.parametrize("corner", [(1, 0), (3, 5), (4, 4), (6, 1)])
@pytest.mark.parametrize("size", [(4, 1), (9, 11), None], ids=str)
def test_a_part_of_an_image(corner, size, backend, make_smooth_gaussians, make_camera):
    """As a window, and as another principal point; tiles and blocks start at the part's corner."""
    camera = make_camera(41, 35)
    gaussians = make_smooth_gaussians(camera, 30, 2)
    gaussians.means[:, :2] *= 0.5  # off the margins of both
    gaussians = gaussians.to(backend.dtype)
    x, y = corner
    width, height = size or (camera.width - x - 2, camera.height - y - 1)
    parts = [image_of(backend, gaussians, camera, window=(x, y, width, height))]
    if size is None:
        center = {"cx": camera.cx - x, "cy": camera.cy - y, "width": width, "height": height}
        parts.append(image_of(backend, gaussians, replace(camera, **center)))
    whole = image_of(backend, gaussians, camera)
    for part in parts:
        for name in PARTS:
            expected = getattr(whole, name)[y : y + height, x : x + width]
            assert_same(backend, getattr(part, name), expected)


@pytest.mark.parametrize("channels", [1, 3, 5, 16, 19])
@pytest.mark.parametrize("listed", [False, True])
def test_backproject_is_the_transpose_of_render(
    channels, listed, backend, threads, make_gaussians, make_camera
):
    """And so the gradient of the attributes, in which an image is linear."""
    view = backend.project(backend.scene(make_gaussians(40)), make_camera()).detach()
    generator = torch.Generator().manual_seed(channels)
    pixels = torch.randint(0, 29, (60, 2), generator=generator) if listed else None
    a = random_attributes(40, channels).to(backend.dtype).requires_grad_()
    image = render.rasterize(view, a, pixels).image
    values = torch.rand(image.shape, generator=generator, dtype=backend.dtype)
    votes = render.backproject(view, values, pixels)
    assert not votes.requires_grad
    product = (image * values).sum()
    assert_same(backend, (a * votes).sum(), product)
    assert_same(backend, votes, torch.autograd.grad(product, a)[0])


def test_a_pixel_list_picks_from_the_image(backend, threads, make_smooth_gaussians, make_camera):
    """The corners, duplicates and any integer type; gradients are those of a masked image."""
    camera = make_camera()
    gaussians = make_smooth_gaussians(camera, 30, 1)
    generator = torch.Generator().manual_seed(0)
    inside = (torch.rand(25, 2, generator=generator) * torch.tensor([37, 29])).long()
    corners = torch.tensor([[0, 0], [36, 28], [0, 28], [36, 0], [36, 28]])
    pixels = torch.cat([inside, corners, inside[:7]])
    columns, rows = pixels.unbind(-1)
    weights = torch.randn(len(pixels), 4, generator=generator, dtype=backend.dtype)
    whole_scene, listed_scene = backend.scene(gaussians), backend.scene(gaussians)
    whole = image_of(backend, whole_scene, camera)
    listed = image_of(backend, listed_scene, camera, pixels.int())
    for name in PARTS:
        assert_same(backend, getattr(listed, name), getattr(whole, name)[rows, columns])
    for image, alpha in (
        (listed.image, listed.alpha),
        (whole.image[rows, columns], whole.alpha[rows, columns]),
    ):
        (image * weights[:, :3]).sum().backward(retain_graph=True)
        (alpha * weights[:, 3]).sum().backward()
    for name in GEOMETRY:
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


def test_pixels_outside_are_refused(backend, make_gaussians, make_camera):
    view = backend.project(backend.scene(make_gaussians()), make_camera())
    for x, y in [(-1, 0), (0, -1), (37, 0), (0, 29)]:
        pixels = torch.tensor([(1, 1), (x, y)])
        message = rf"pixel \({x}, {y}\) lies outside the 37x29 image"
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
    for seed in range(4):
        image_of(backend, gaussians, make_camera(53, 18, seed))
    second = render.rasterize(view, view.colors)
    assert torch.equal(second.image, first.image) and torch.equal(second.alpha, first.alpha)
    wide = render.rasterize(view, view.colors.repeat(1, 6)).image
    assert_same(backend, wide, first.image.repeat(1, 1, 6))
    assert torch.equal(render.backproject(view, ones), votes)
    grads = [
        torch.autograd.grad(r.image.sum(), gaussians.means, retain_graph=True)[0]
        for r in (first, second, first)
    ]
    assert torch.equal(grads[0], grads[1]) and torch.equal(grads[0], grads[2])


def test_detached_views_send_no_gradient_to_geometry(backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians(features=4))
    view = backend.project(scene, make_camera())
    attached = render.rasterize(view, scene.features).image
    detached = render.rasterize(view.detach(), scene.features).image
    assert torch.equal(attached, detached)
    inputs = (scene.features, scene.means)
    expected, _ = torch.autograd.grad(attached.sum(), inputs)
    found, of_means = torch.autograd.grad(detached.sum(), inputs, allow_unused=True)
    assert of_means is None
    assert_same(backend, found, expected)


@pytest.mark.parametrize("pixels", [None, [[3, 4], [20, 11], [36, 28]]], ids=["image", "list"])
def test_alpha_is_the_image_of_ones(pixels, backend, make_smooth_gaussians, make_camera):
    """So the two have the same gradient."""
    camera = make_camera()
    scene = backend.scene(make_smooth_gaussians(camera))
    view = backend.project(scene, camera)
    pixels = pixels if pixels is None else torch.tensor(pixels)
    rendered = render.rasterize(view, torch.ones(17, 1, dtype=backend.dtype), pixels)
    assert_same(backend, rendered.alpha, rendered.image[..., 0])
    stored = [getattr(scene, name) for name in GEOMETRY[:4]]
    of_alpha, of_image = (
        torch.autograd.grad(part.sum(), stored, retain_graph=True)
        for part in (rendered.alpha, rendered.image)
    )
    for actual, expected in zip(of_alpha, of_image, strict=True):
        assert_same(backend, actual, expected)


@pytest.mark.parametrize("degree", [0, 1, 2, 7])
def test_sh_degree_limits_the_harmonics(degree, backend, make_gaussians, make_camera):
    scene = backend.scene(make_gaussians(degree=3))
    sh = scene.sh.detach().clone()
    sh[:, (degree + 1) ** 2 :] = 0
    limited = backend.project(scene, make_camera(), sh_degree=degree)
    expected = backend.project(replace(scene, sh=sh), make_camera())
    assert_same(backend, limited.colors, expected.colors)
    (gradient,) = torch.autograd.grad(limited.colors.sum(), scene.sh)
    assert not gradient[:, (degree + 1) ** 2 :].any()


def test_render_of_gaussians_is_their_color(make_gaussians, make_camera):
    gaussians, camera = make_gaussians().to(torch.float32), make_camera()
    view = render.project(gaussians, camera)
    short = render.render(gaussians, camera)
    assert torch.equal(short.image, render.rasterize(view, view.colors).image)
    assert short.depth is None
    sample = render.render(gaussians, camera, torch.tensor([[2, 3]]), depth=True)
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
