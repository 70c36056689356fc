"""Random numbers are a function of seed, purpose and step, and of nothing else."""

import itertools

import pytest
import torch

from splatseg.training.randomness import PURPOSES, generator


def draw(seed: int, purpose: str, step: int) -> torch.Tensor:
    return torch.rand(8, generator=generator(seed, purpose, step))


def test_the_same_three_give_the_same_numbers() -> None:
    for seed, purpose, step in itertools.product((0, 7), PURPOSES, (0, 3, 30_000)):
        expected = draw(seed, purpose, step)
        torch.manual_seed(1)  # the global generator has no part in it
        draw(99, "frames", 5)
        assert torch.equal(draw(seed, purpose, step), expected)
    assert torch.equal(torch.rand(3, generator=generator(2, "split")), draw(2, "split", 0)[:3])


def test_any_difference_gives_other_numbers() -> None:
    """Also where seed and step are swapped, or differ by one."""
    keys = list(itertools.product(range(5), PURPOSES, range(5)))
    drawn = {tuple(draw(*key).tolist()) for key in keys}
    assert len(drawn) == len(keys)


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    draw(0, "spatial", 1)
    assert torch.equal(torch.rand(3), expected)


def test_neighboring_steps_are_not_correlated() -> None:
    """Means over 200 steps of uniform numbers: 0.5 within five standard errors."""
    drawn = torch.stack([draw(0, "frames", step) for step in range(200)])
    error = (1 / 12 / 200) ** 0.5
    assert (drawn.mean(dim=0) - 0.5).abs().max() < 5 * error
    products = (drawn[1:] - 0.5) * (drawn[:-1] - 0.5)
    assert products.mean(dim=0).abs().max() < 5 * (1 / 12) / 200**0.5


def test_an_unknown_purpose_is_a_bug() -> None:
    with pytest.raises(ValueError, match="not in"):
        generator(0, "coffee")
