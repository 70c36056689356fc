"""The rendering loss: the torch SSIM against slow loops and torchmetrics, native against torch."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from splatseg.engine import library as engine
from splatseg.losses.photometric import SSIM_WEIGHT, rendering_loss, ssim

FLOAT64_TOLERANCE = 1e-10  # relative: 121 terms a pixel, each good to 1e-16
# SSIM subtracts squared means from means of squares, which costs float32 about 1e-7 absolute, and
# divides by a variance of at least C2 = 9e-4.
VALUE_TOLERANCE = 2e-4
GRADIENT_TOLERANCE = 1e-3  # relative to the largest value: the same, with a square of the divisor
SIZES = ((1, 1), (5, 7), (33, 65), (16, 16), (11, 40), (1, 30), (30, 1))


@pytest.fixture(params=("avx512", "avx2", "portable"))
def native(request: pytest.FixtureRequest) -> Iterator[None]:
    if not engine.is_available():
        pytest.skip("the native engine was not compiled")
    if request.param not in engine.instruction_sets():
        pytest.skip(f"this machine cannot run {request.param}")
    before = engine.instruction_set()
    engine.use_instruction_set(request.param)
    yield
    engine.use_instruction_set(before)


@pytest.fixture(params=(1, 2, 3))
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = engine.threads()
    engine.set_threads(request.param)
    yield request.param
    engine.set_threads(before)


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
    for row in range(7):
        for column in range(9):
            for c in range(3):
                moments = [0.0] * 5  # of a, b, aa, bb, ab; pixels outside the image count as 0
                for i in range(max(0, row - 5), min(7, row + 6)):
                    for j in range(max(0, column - 5), min(9, column + 6)):
                        w = weights[i - row] * weights[j - column] / norm**2
                        u, v = a[i, j, c].item(), b[i, j, c].item()
                        for k, value in enumerate((u, v, u * u, v * v, u * v)):
                            moments[k] += w * value
                mu_a, mu_b, aa, bb, ab = moments
                luminance = (2 * mu_a * mu_b + 1e-4) / (mu_a**2 + mu_b**2 + 1e-4)
                s_aa, s_bb, s_ab = aa - mu_a**2, bb - mu_b**2, ab - mu_a * mu_b
                total += luminance * (2 * s_ab + 9e-4) / (s_aa + s_bb + 9e-4)
    assert ssim(a, b).item() == pytest.approx(total / (7 * 9 * 3), rel=FLOAT64_TOLERANCE)


def test_ssim_is_torchmetrics_where_padding_does_not_matter() -> None:
    """torchmetrics reflects the image at its border, we pad with zeros: the same in a black frame
    wider than the window's radius."""
    a, b = (torch.nn.functional.pad(x, (0, 0, 6, 6, 6, 6)) for x in images(20, 31))
    planar = [x.permute(2, 0, 1)[None] for x in (a, b)]
    expected = structural_similarity_index_measure(*planar, data_range=1.0)
    assert isinstance(expected, Tensor)
    assert ssim(a, b).item() == pytest.approx(expected.item(), rel=1e-7)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equal_images_have_no_loss(size: tuple[int, int], native: None) -> None:
    image = images(*size)[0]
    assert ssim(image, image).item() == pytest.approx(1.0, abs=1e-12)
    single = image.float().requires_grad_()
    loss = rendering_loss(single, image.float())
    assert abs(loss.item()) < 1e-6
    loss.backward()
    assert single.grad is not None
    assert single.grad.abs().max() * single.numel() < GRADIENT_TOLERANCE, "SSIM is largest there"


@pytest.mark.parametrize("weight", [0.0, SSIM_WEIGHT, 1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_native_is_the_specification(
    size: tuple[int, int], weight: float, native: None, threads: int
) -> None:
    a, b = images(*size)
    exact = a.clone().requires_grad_()
    expected = spec_loss(exact, b, weight)
    expected.backward()
    single = a.float().requires_grad_()
    loss = rendering_loss(single, b.float(), weight)
    (3 * loss).backward()
    assert loss.item() == pytest.approx(expected.item(), abs=VALUE_TOLERANCE)
    assert single.grad is not None and exact.grad is not None
    error = (single.grad / 3 - exact.grad).abs().max() / exact.grad.abs().max()
    assert error < GRADIENT_TOLERANCE


def test_the_specification_has_the_right_gradient() -> None:
    a, b = images(4, 6)
    function = lambda x: spec_loss(x, b, 0.5)  # noqa: E731
    assert torch.autograd.gradcheck(function, a.requires_grad_())


def test_permuting_channels_changes_nothing(native: None) -> None:
    a, b = (x.float() for x in images(13, 21))
    order = torch.tensor([2, 0, 1])
    plain, permuted = a.clone().requires_grad_(), a[..., order].clone().requires_grad_()
    losses = rendering_loss(plain, b), rendering_loss(permuted, b[..., order])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0.0)
    for loss in losses:
        loss.backward()
    assert plain.grad is not None and permuted.grad is not None
    assert torch.equal(plain.grad[..., order], permuted.grad)


def test_mirroring_both_images_mirrors_the_gradient(native: None) -> None:
    a, b = (x.float() for x in images(13, 21))
    plain, mirrored = a.clone().requires_grad_(), a.flip(0, 1).clone().requires_grad_()
    losses = rendering_loss(plain, b), rendering_loss(mirrored, b.flip(0, 1))
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0.0)
    assert plain.grad is not None and mirrored.grad is not None
    scale = plain.grad.abs().max().item()
    torch.testing.assert_close(
        plain.grad.flip(0, 1), mirrored.grad, rtol=0.0, atol=GRADIENT_TOLERANCE * scale
    )


def test_ssim_does_not_care_which_image_comes_first() -> None:
    a, b = images(13, 21)
    assert ssim(a, b).item() == pytest.approx(ssim(b, a).item(), rel=FLOAT64_TOLERANCE)


def test_flat_images_have_a_defined_loss(native: None) -> None:
    """Black against white, no variance anywhere: L1 is 1 and SSIM almost 0."""
    black, white = torch.zeros(20, 20, 3, requires_grad=True), torch.ones(20, 20, 3)
    loss = rendering_loss(black, white)
    assert loss.item() == pytest.approx(spec_loss(black, white, SSIM_WEIGHT).item(), abs=1e-6)
    loss.backward()
    assert black.grad is not None and bool(black.grad.isfinite().all())


def test_the_same_bits_twice(native: None, threads: int) -> None:
    a, b = (x.float() for x in images(33, 65))
    results = []
    for _ in range(2):
        image = a.clone().requires_grad_()
        loss = rendering_loss(image, b)
        loss.backward()
        results.append((loss.detach(), image.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1] is not None and results[1][1] is not None
    assert torch.equal(results[0][1], results[1][1])


def test_permuted_memory_is_read_right(native: None) -> None:
    """Renderings are permuted views of planar images."""
    a, b = (x.float() for x in images(9, 12))
    planar = a.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not planar.is_contiguous()
    assert torch.equal(rendering_loss(planar, b), rendering_loss(a, b))


def test_float64_and_no_gradient(native: None) -> None:
    a, b = images(9, 12)
    expected = spec_loss(a, b, SSIM_WEIGHT)
    assert torch.equal(rendering_loss(a, b), expected)
    single = rendering_loss(a.float(), b.float())
    assert not single.requires_grad
    assert single.item() == pytest.approx(expected.item(), abs=VALUE_TOLERANCE)
