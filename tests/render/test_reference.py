"""The specification itself: slow loops, textbook formulas and finite differences, in float64."""

import itertools
import math

import numpy as np
import pytest
import torch
from builders.rendering import REFERENCE
from scipy.spatial.transform import Rotation
from scipy.special import lpmv
from torch import Tensor

from splatseg import render
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.rotations import rotation_matrices
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.render import ProjectedGaussians, reference

FLOAT64_TOLERANCE = 1e-10  # relative: tens of terms, each good to 1e-16
GRADCHECK_DISTANCE = 1e-4  # gradcheck moves each input by 1e-6, alpha by tens of times that
PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def slow_blend(
    view: ProjectedGaussians, attributes: Tensor, column: int, row: int
) -> tuple[Tensor, float]:
    """Eq. 1 and Eq. 2 at one pixel, one Gaussian at a time."""
    total, transmittance = torch.zeros(attributes.shape[1], dtype=attributes.dtype), 1.0
    for i in sorted(range(len(view)), key=lambda i: view.depths[i].item()):
        dx = column + 0.5 - view.means2d[i, 0].item()
        dy = row + 0.5 - view.means2d[i, 1].item()
        xx, xy, yy = view.conics[i].tolist()
        power = -0.5 * (xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy)
        alpha = min(view.opacities[i].item() * math.exp(power), 0.999)
        if alpha < 1 / 255:
            continue
        total += attributes[i] * alpha * transmittance
        transmittance *= 1 - alpha
    return total, 1 - transmittance


def test_blend_is_the_sum_of_equations_1_and_2(make_gaussians, make_camera):
    camera, gaussians = make_camera(11, 7), make_gaussians(30)
    # One opaque Gaussian exercises the upper clamp, one behind the camera must not appear.
    gaussians.logit_opacities[3] = 30.0
    gaussians.means[5, 2] = -3.0
    view = REFERENCE.project(gaussians, camera, 0)
    attributes = torch.randn(30, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    image, alpha = REFERENCE.rasterize(view, attributes, None)
    for row, column in itertools.product(range(7), range(11)):
        expected, expected_alpha = slow_blend(view, attributes, column, row)
        torch.testing.assert_close(image[row, column], expected, rtol=FLOAT64_TOLERANCE, atol=1e-12)
        assert alpha[row, column].item() == pytest.approx(expected_alpha, abs=1e-12)


def test_chunks_do_not_show(make_gaussians, make_camera, monkeypatch):
    view = REFERENCE.project(make_gaussians(30), make_camera(), 0)
    whole = render.rasterize(view, view.colors)
    votes = render.backproject(view, whole.image)
    monkeypatch.setattr(reference, "PIXELS_AT_ONCE", 7)
    parts = render.rasterize(view, view.colors)
    torch.testing.assert_close(parts.image, whole.image, rtol=FLOAT64_TOLERANCE, atol=1e-14)
    torch.testing.assert_close(
        render.backproject(view, whole.image), votes, rtol=FLOAT64_TOLERANCE, atol=1e-13
    )


def test_projection_is_the_textbook_covariance(make_gaussians, make_camera):
    camera, gaussians = make_camera(), make_gaussians(9)
    gaussians.means[:, :2] *= 0.5  # within the margin, where the Jacobian is not held
    view = REFERENCE.project(gaussians, camera, 0)
    pose = camera.cam_from_world.numpy()
    for i in range(9):
        x, y, z = pose[:3, :3] @ gaussians.means[i].numpy() + pose[:3, 3]
        np.testing.assert_allclose(
            view.means2d[i], [camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy]
        )
        assert view.depths[i].item() == pytest.approx(z)
        spread = Rotation.from_quat(np.roll(gaussians.quats[i].numpy(), -1)).as_matrix() @ np.diag(
            gaussians.scales[i].numpy()
        )
        in_camera = pose[:3, :3] @ spread @ spread.T @ pose[:3, :3].T
        jacobian = np.array(
            [[camera.fx / z, 0, -camera.fx * x / z**2], [0, camera.fy / z, -camera.fy * y / z**2]]
        )
        covariance = jacobian @ in_camera @ jacobian.T + 0.3 * np.eye(2)
        inverse = np.linalg.inv(covariance)
        np.testing.assert_allclose(
            view.conics[i], [inverse[0, 0], inverse[0, 1], inverse[1, 1]], rtol=1e-9
        )


@pytest.mark.parametrize("degree", [0, 3])
def test_gradients_are_finite_differences(degree, make_smooth_gaussians, make_camera):
    camera = make_camera(5, 4)
    gaussians = make_smooth_gaussians(camera, 3, degree, GRADCHECK_DISTANCE)
    generator = torch.manual_seed(degree)
    attributes = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    # Random mixtures of the pixels, so that gradcheck needs a backward pass for each mixture only.
    mix = torch.randn(5 + 2, 4, 5, 3, dtype=torch.float64, generator=generator)

    def images(*stored: Tensor) -> tuple[Tensor, ...]:
        scene = Gaussians(
            **dict(zip(PARAMETERS, stored[:5], strict=True)), features=gaussians.features
        )
        view = REFERENCE.project(scene, camera, degree)
        channels = torch.cat([view.colors, stored[5]], dim=1)
        rendered = render.rasterize(view, channels, depth=True)
        assert rendered.depth is not None
        return (
            torch.einsum("hwc,chwk->k", rendered.image, mix[:5]),
            torch.einsum("hw,hwk->k", rendered.alpha, mix[5]),
            torch.einsum("hw,hwk->k", rendered.depth, mix[6]),
        )

    inputs = [getattr(gaussians, name) for name in PARAMETERS] + [attributes]
    assert torch.autograd.gradcheck(images, [t.clone().requires_grad_() for t in inputs])


def test_gradients_outside_the_margin_are_finite_differences(make_smooth_gaussians, make_camera):
    """Far beyond the edge the Jacobian is held: its derivative is 0 there."""
    camera = make_camera(5, 4)
    gaussians = make_smooth_gaussians(camera, 2, 0, GRADCHECK_DISTANCE)
    gaussians.means[:, 0] += torch.tensor([4.0, -4.0], dtype=torch.float64)

    def projected(*stored: Tensor) -> tuple[Tensor, ...]:
        scene = Gaussians(**dict(zip(PARAMETERS, stored, strict=True)), features=gaussians.features)
        view = REFERENCE.project(scene, camera, 0)
        return view.means2d, view.conics, view.depths

    inputs = [getattr(gaussians, name).clone().requires_grad_() for name in PARAMETERS]
    assert torch.autograd.gradcheck(projected, inputs)


def test_rotations_are_scipys():
    quats = torch.randn(20, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    expected = Rotation.from_quat(quats.roll(-1, dims=1).numpy()).as_matrix()
    np.testing.assert_allclose(rotation_matrices(quats), expected, atol=1e-14)


def test_spherical_harmonics_are_the_textbooks():
    """Real harmonics with the Condon-Shortley sign, by order m = -l..l, from Legendre functions."""
    directions = torch.nn.functional.normalize(
        torch.randn(40, 3, dtype=torch.float64, generator=torch.manual_seed(0)), dim=-1
    )
    x, y, z = directions.numpy().T
    expected = []
    for degree in range(4):
        for m in range(-degree, degree + 1):
            k = abs(m)
            norm = (2 * degree + 1) / (4 * math.pi)
            norm *= math.factorial(degree - k) / math.factorial(degree + k)
            around = np.cos(k * np.arctan2(y, x)) if m >= 0 else np.sin(k * np.arctan2(y, x))
            factor = math.sqrt(norm) * (math.sqrt(2) if m != 0 else 1)
            expected.append(factor * lpmv(k, degree, z) * around)
    actual = sh_basis(directions, 3)
    np.testing.assert_allclose(actual, np.stack(expected, axis=-1), atol=1e-13)
    for degree in range(3):
        assert torch.equal(sh_basis(directions, degree), actual[:, : (degree + 1) ** 2])


def test_extents_are_where_alpha_is_least(make_gaussians, make_camera):
    """On the edge of its box a Gaussian's largest alpha is 1/255; a faint one reaches nothing."""
    view = REFERENCE.project(make_gaussians(8), make_camera(), 0)
    reach = reference.extents(view.conics, view.opacities)
    along = torch.linspace(-3, 3, 200_001, dtype=torch.float64)
    for i in range(8):
        xx, xy, yy = view.conics[i].tolist()
        width, height = reach[i].tolist()
        for dx, dy in ((width, along * height), (along * width, height)):
            alpha = view.opacities[i] * torch.exp(
                -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
            )
            assert alpha.max().item() == pytest.approx(1 / 255, rel=1e-6)
    faint = torch.full((8,), 1 / 256, dtype=torch.float64)
    assert not reference.extents(view.conics, faint).any()
