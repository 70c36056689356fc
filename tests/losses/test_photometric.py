"""The rendering loss: the torch SSIM against slow loops and torchmetrics, native against torch."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from splatseg.losses.photometric import SSIM_WEIGHT, rendering_loss, ssim

FLOAT64_TOLERANCE = 1e-10  # relative: 121 terms a pixel, each good to 1e-16
# SSIM subtracts squared means from means of squares, which costs float32 about 1e-7 absolute, and
# divides by a variance of at least C2 = 9e-4.
VALUE_TOLERANCE = 2e-4
GRADIENT_TOLERANCE = 1e-3  # relative to the largest value: the same, with a square of the divisor
SIZES = ((1, 1), (5, 7), (33, 65), (16, 16), (11, 40), (1, 30), (30, 1))


def images(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two similar images in [0, 1], float64, with smooth and noisy parts."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(height, dtype=torch.float64)[:, None, None]
    columns = torch.arange(width, dtype=torch.float64)[None, :, None]
    smooth = 0.5 + 0.3 * torch.sin(0.3 * rows + 0.2 * columns + torch.arange(3))
    noise = torch.rand(2, height, width, 3, generator=generator, dtype=torch.float64)
    return 0.7 * smooth + 0.3 * noise[0], 0.8 * smooth + 0.2 * noise[1]


def spec_loss(image: Tensor, reference: Tensor, weight: float) -> Tensor:
    return (1 - weight) * (image - reference).abs().mean() + weight * (1 - ssim(image, reference))


def test_ssim_is_a_slow_loop_over_windows() -> None:
    a, b = images(7, 9)
    weights = {k: math.exp(-0.5 * (k / 1.5) ** 2) for k in range(-5, 6)}
    norm = sum(weights.values())
    total = 0.0
    for row, column, c in itertools.product(range(7), range(9), range(3)):
        moments = torch.zeros(5, dtype=torch.float64)  # of a, b, aa, bb, ab; outside is 0
        for i, j in itertools.product(range(7), range(9)):
            w = weights.get(i - row, 0) * weights.get(j - column, 0) / norm**2
            u, v = a[i, j, c], b[i, j, c]
            moments += w * torch.stack([u, v, u * u, v * v, u * v])
        mu_a, mu_b, aa, bb, ab = moments.tolist()
        luminance = (2 * mu_a * mu_b + 1e-4) / (mu_a**2 + mu_b**2 + 1e-4)
        s_aa, s_bb, s_ab = aa - mu_a**2, bb - mu_b**2, ab - mu_a * mu_b
        total += luminance * (2 * s_ab + 9e-4) / (s_aa + s_bb + 9e-4)
    assert ssim(a, b).item() == pytest.approx(total / (7 * 9 * 3), rel=FLOAT64_TOLERANCE)


@pytest.mark.parametrize("weight", [0.0, SSIM_WEIGHT, 1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_native_is_the_specification(size, weight, native, threads) -> None:
    """In value and gradient, without a gradient, of permuted memory, and twice the same bits."""
    a, b = images(*size)
    exact = a.clone().requires_grad_()
    expected = spec_loss(exact, b, weight)
    expected.backward()
    planar = a.float().permute(2, 0, 1).contiguous().permute(1, 2, 0)  # as renderings are
    values, gradients = [], []
    for image in (a.float(), a.float(), planar):
        single = image.clone().requires_grad_()
        loss = rendering_loss(single, b.float(), weight)
        (3 * loss).backward()
        values.append(loss.item())
        gradients.append(single.grad / 3)
    assert values == values[:1] * 3 == [rendering_loss(planar, b.float(), weight).item()] * 3
    assert values[0] == pytest.approx(expected.item(), abs=VALUE_TOLERANCE)
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])
    error = (gradients[0] - exact.grad).abs().max() / exact.grad.abs().max()
    assert error < GRADIENT_TOLERANCE
    assert torch.equal(rendering_loss(a, b, weight), expected)  # float64 is the specification


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equal_images_have_no_loss_and_flat_ones_a_defined_one(size, native) -> None:
    """SSIM is largest between equal images; of black against white it is almost 0, and L1 is 1."""
    same, black = images(*size)[0].float(), torch.zeros(*size, 3, requires_grad=True)
    leaf, white = same.clone().requires_grad_(), torch.ones(*size, 3)
    loss, flat = rendering_loss(leaf, same), rendering_loss(black, white)
    assert abs(loss.item()) < 1e-6
    assert flat.item() == pytest.approx(spec_loss(black, white, SSIM_WEIGHT).item(), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert gradient.abs().max() * leaf.numel() < GRADIENT_TOLERANCE
    assert torch.autograd.grad(flat, black)[0].isfinite().all()


def test_the_specification_is_symmetric_and_has_the_right_gradient() -> None:
    a, b = images(4, 6)
    assert ssim(a, b).item() == pytest.approx(ssim(b, a).item(), rel=FLOAT64_TOLERANCE)
    assert torch.autograd.gradcheck(lambda x: spec_loss(x, b, 0.5), a.requires_grad_())


def test_ssim_is_torchmetrics_where_padding_does_not_matter() -> None:
    """torchmetrics reflects the image at its border, we pad with zeros: the same in a black frame
    wider than the window's radius."""
    a, b = (torch.nn.functional.pad(x, (0, 0, 6, 6, 6, 6)) for x in images(20, 31))
    planar = [x.permute(2, 0, 1)[None] for x in (a, b)]
    expected = structural_similarity_index_measure(*planar, data_range=1.0)
    assert isinstance(expected, Tensor)
    assert ssim(a, b).item() == pytest.approx(expected.item(), rel=1e-7)
