"""Eq. 3 against a slow loop over masks, its invariances, and inputs at the edge."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from splatseg.losses import contrastive
from splatseg.losses.contrastive import Temperature, contrastive_loss

TEMPERATURES: tuple[Temperature, ...] = ("code", "printed")
FLOAT64_TOLERANCE = 1e-10  # relative: sums of up to 1e4 terms, each good to 1e-16
MIN_PIXELS = 2  # small, so that small drawings have usable segments


def slow_loss(
    features: Tensor, labels: Tensor, temperature: Temperature, min_pixels: int
) -> Tensor:
    """Eq. 3, mask by mask and pixel by pixel."""
    unit = [f / f.norm() for f in features]
    members = {
        int(label): [unit[q] for q in range(len(unit)) if labels[q] == label]
        for label in labels.unique()
        if label != 0 and (labels == label).sum() > min_pixels
    }
    centroids = {p: sum(pixels) / len(pixels) for p, pixels in members.items()}
    phi = {}
    for p, pixels in members.items():
        total = sum((f - centroids[p]).norm().item() for f in pixels)
        printed = total / (len(pixels) * math.log(len(pixels) + 100))
        clipped = min(max(10 * printed, 0.1), 1.0)
        phi[p] = clipped if temperature == "code" else max(printed, 1e-3)
    loss = features.sum() * 0
    for p, pixels in members.items():
        for f in pixels:
            logits = torch.stack([f @ centroids[s] / phi[s] for s in members])
            loss = loss - (f @ centroids[p] / phi[p] - logits.logsumexp(0))
    return loss / max(len(members), 1)


def view(
    pixels: int = 40, segments: int = 4, channels: int = 5, seed: int = 0, spread: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Features around one direction a label, in float64; label 0 is among the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, segments + 1, (pixels,), generator=generator)
    directions = torch.randn(segments + 1, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(pixels, channels, generator=generator, dtype=torch.float64)
    return directions[labels] + spread * noise, labels


@pytest.mark.parametrize("temperature", TEMPERATURES)
@settings(max_examples=25, deadline=None)
@given(
    pixels=st.integers(0, 40),
    segments=st.integers(0, 6),
    spread=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 100),
)
def test_value_and_gradient_equal_the_slow_loop(
    temperature: Temperature, pixels: int, segments: int, spread: float, seed: int
) -> None:
    """In one chunk and in many; without a usable segment both are 0."""
    features, labels = view(pixels, segments, seed=seed, spread=spread)
    # Terms near zero cancel from logits of up to 1 / phi, so small losses are good to that scale.
    scale = 1e3 if temperature == "printed" else 10.0
    close = {"rtol": FLOAT64_TOLERANCE, "atol": scale * FLOAT64_TOLERANCE}
    slow = features.clone().requires_grad_()
    expected = slow_loss(slow, labels, temperature, MIN_PIXELS)
    expected.backward()
    for chunk in (contrastive.CHUNK, 7):
        fast = features.clone().requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(contrastive, "CHUNK", chunk)
            loss = contrastive_loss(fast, labels, temperature=temperature, min_pixels=MIN_PIXELS)
            loss.backward()
        torch.testing.assert_close(loss, expected, **close)
        torch.testing.assert_close(fast.grad, slow.grad, **close)


@pytest.mark.parametrize(("temperature", "spread"), [("code", 5.0), ("code", 1e-3), ("printed", 0)])
def test_gradcheck_where_the_detached_temperature_is_constant(temperature, spread) -> None:
    # At these spreads phi is clipped, so finite differences see the constant that autograd sees.
    features, labels = view(16, 3, spread=spread)
    features.requires_grad_()
    torch.autograd.gradcheck(
        lambda f: contrastive_loss(f, labels, temperature=temperature, min_pixels=1), features
    )


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_mask_ids_pixel_order_lengths_and_axes_do_not_matter(temperature: Temperature) -> None:
    features, labels = view()
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([0, 900, 7, 65535, 12])[labels]
    order = torch.randperm(len(labels), generator=generator)
    lengths = 0.01 + torch.rand(len(labels), 1, generator=generator, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(view(5, channels=5, seed=3)[0])

    def loss(features: Tensor, labels: Tensor) -> Tensor:
        return contrastive_loss(features, labels, temperature=temperature, min_pixels=MIN_PIXELS)

    changed = (lengths * features)[order] @ rotation
    torch.testing.assert_close(loss(changed, ids[order]), loss(features, labels))
    features[labels == 1] = 0.0  # a whole segment that no Gaussian covers
    value = loss(features.requires_grad_(), labels)
    assert value.isfinite() and torch.autograd.grad(value, features)[0].isfinite().all()


def test_the_threshold_is_strict() -> None:
    features, _ = view(pixels=200)
    labels = torch.tensor([1] * 101 + [2] * 99)
    assert contrastive_loss(features, labels) == 0  # one usable segment: nothing to contrast
    assert contrastive_loss(features[:-1], labels[:-1].roll(1)) == 0
    labels[100] = 2  # 100 pixels each
    assert contrastive_loss(features, labels) == 0
    assert contrastive_loss(features, labels, min_pixels=99) > 0


def test_float32_agrees_with_float64_on_a_whole_view_and_with_itself() -> None:
    features, labels = view(pixels=20_000, segments=20, channels=16)
    exact = contrastive_loss(features, labels)
    single, again = (contrastive_loss(features.float(), labels) for _ in range(2))
    assert torch.equal(single, again)
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=0)  # sums of 2e4 floats
