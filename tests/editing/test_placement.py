"""Moving, turning and scaling: against cameras moved the other way, and back again."""

import dataclasses

import pytest
import torch

from splatseg.editing.placement import transform
from splatseg.errors import SplatsegError
from splatseg.geometry import rotate_sh, rotation_matrices, sh_basis
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.spherical_harmonics import sh_rotation
from splatseg.render import render

TURN = torch.tensor([0.8, 0.3, -0.4, 0.2])
MOVE = torch.tensor([0.3, -0.2, 0.5])
PIVOT = torch.tensor([0.1, 0.2, 0.3])
ROUNDING = 1e-4  # float32 through two transforms
BLENDING = 2e-3  # a Gaussian at the 1/255 cut-off may fall on its other side


def random_gaussians(count: int = 30) -> Gaussians:
    random = torch.Generator().manual_seed(0)
    shapes = [(3,), (4,), (3,), (), (16, 3), (4,)]
    means, quats, scales, opacities, sh, features = (
        torch.randn(count, *shape, generator=random) for shape in shapes
    )
    return Gaussians(0.3 * means, quats, -2.5 + 0.3 * scales, opacities, 0.3 * sh, features)


def everything(gaussians: Gaussians) -> torch.Tensor:
    return torch.ones(len(gaussians), dtype=torch.bool)


def test_a_camera_that_moves_along_sees_the_same():
    gaussians, pose = random_gaussians(), torch.eye(4, dtype=torch.float64)
    pose[2, 3] = 2.5
    camera = Camera(pose, 60.0, 60.0, 24.0, 20.0, 48, 40)
    moved = transform(gaussians, everything(gaussians), TURN, MOVE, 1.0, PIVOT)
    turn = rotation_matrices(torch.nn.functional.normalize(TURN.double(), dim=0)[None])[0]
    world = torch.eye(4, dtype=torch.float64)  # moved_from_old
    world[:3, :3] = turn
    world[:3, 3] = PIVOT.double() - turn @ PIVOT.double() + MOVE.double()
    along = dataclasses.replace(camera, cam_from_world=pose @ torch.linalg.inv(world))
    before, after = render(gaussians, camera).image, render(moved, along).image
    assert before.max() > 0.2
    torch.testing.assert_close(after, before, atol=BLENDING, rtol=0)


def test_a_transform_and_its_inverse_change_nothing():
    gaussians = random_gaussians()
    selected = torch.arange(len(gaussians)) % 3 == 0
    there = transform(gaussians, selected, TURN, MOVE, 2.0, PIVOT)
    inverse = TURN * torch.tensor([1.0, -1, -1, -1])
    back = transform(there, selected, inverse, -MOVE, 0.5, PIVOT + MOVE)
    for name in ("means", "log_scales", "logit_opacities", "sh", "features"):
        old, new = getattr(gaussians, name), getattr(back, name)
        torch.testing.assert_close(new, old, atol=ROUNDING, rtol=0)
        assert torch.equal(new[~selected], old[~selected])
    cosine = torch.nn.functional.cosine_similarity(gaussians.quats, back.quats).abs()
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_turned_coefficients_give_the_color_of_the_direction_turned_back(degree):
    turn = rotation_matrices(torch.nn.functional.normalize(TURN.double(), dim=0)[None])[0]
    random = torch.Generator().manual_seed(1)
    sh = torch.randn(5, (degree + 1) ** 2, 3, generator=random, dtype=torch.float64)
    draws = torch.randn(20, 3, generator=random, dtype=torch.float64)
    directions = torch.nn.functional.normalize(draws, dim=1)
    new = torch.einsum("dk,nkc->dnc", sh_basis(directions, degree), rotate_sh(sh, turn))
    old = torch.einsum("dk,nkc->dnc", sh_basis(directions @ turn, degree), sh)
    torch.testing.assert_close(new, old)
    matrix = sh_rotation(turn, degree)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix), dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rotation": torch.zeros(4)}, "length 0"),
        ({"scale": 0.0}, "the scale is 0.0"),
        ({"translation": torch.tensor([0.0, float("nan"), 0.0])}, "the translation is"),
    ],
)
def test_what_is_no_transform_is_refused(change, sentence):
    gaussians = random_gaussians(3)
    given = {"rotation": TURN, "translation": MOVE, "scale": 1.0, "center": PIVOT} | change
    with pytest.raises(SplatsegError, match=sentence):
        transform(gaussians, everything(gaussians), **given)
