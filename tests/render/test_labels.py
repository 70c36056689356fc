"""Label images, on every backend, against the blending weight of every Gaussian at every pixel."""

import pytest
import torch
from torch import Tensor

from splatseg import render
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.render.labels import MIN_COVERAGE, label_image

CLOSE = 1e-3  # two labels whose weights differ by less may come out either way


def weights(gaussians: Gaussians, camera: Camera, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Blending weight of each label at each pixel (label, h, w) by the reference; and alpha."""
    view = render.project(gaussians, camera, backend="reference")
    own = torch.eye(len(gaussians), dtype=torch.float64)
    rendered = render.rasterize(view, own)
    sums = torch.zeros(int(labels.max()) + 1, *rendered.alpha.shape, dtype=torch.float64)
    return sums.index_add(0, labels, rendered.image.permute(2, 0, 1)), rendered.alpha


@pytest.mark.parametrize("size", [(37, 29), (16, 16), (3, 50)], ids=str)
@pytest.mark.parametrize(("count", "names"), [(1, 1), (40, 3), (300, 150)])
def test_the_label_with_most_weight_is_shown(
    size, count, names, backend, threads, make_gaussians, make_camera
):
    camera, gaussians = make_camera(*size), make_gaussians(count)
    labels = torch.randint(names, (count,), generator=torch.Generator().manual_seed(names))
    expected, alpha = weights(gaussians, camera, labels)

    shown = label_image(backend.project(gaussians.to(torch.float32), camera), labels)

    covered = alpha >= MIN_COVERAGE
    there = expected.gather(0, shown[None])[0]
    near_cut = (alpha - MIN_COVERAGE).abs() < CLOSE
    assert (there >= expected.amax(dim=0) - CLOSE)[covered & ~near_cut].all()
    assert not shown[~covered & ~near_cut].any()
    assert count == 1 or covered.any()


def test_nothing_shows_no_label(backend, make_gaussians, make_camera):
    camera, gaussians = make_camera(20, 10), make_gaussians(5)
    far = gaussians.select(torch.zeros(5, dtype=torch.bool))
    shown = label_image(
        backend.project(far.to(torch.float32), camera), torch.zeros(0, dtype=torch.long)
    )
    assert shown.shape == (10, 20)
    assert not shown.any()


def test_many_thin_layers_outweigh_one_in_front(backend, make_gaussians, make_camera):
    camera, gaussians = make_camera(32, 32), make_gaussians(20)
    gaussians.means[:] = torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    gaussians.means[:, 2] += torch.linspace(0, 1, 20, dtype=torch.float64)
    gaussians.log_scales[:] = -0.5
    gaussians.logit_opacities[:] = -1.5
    gaussians.logit_opacities[0] = -0.8  # 0.31, the rest have 0.18 each
    labels = torch.ones(20, dtype=torch.long)
    labels[0] = 40
    assert label_image(backend.project(gaussians.to(torch.float32), camera), labels)[16, 16] == 1
