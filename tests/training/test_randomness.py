"""Random numbers are a function of seed, purpose and step, and of nothing else."""

import itertools

import pytest
import torch

from splatseg.training.randomness import PURPOSES, generator


def draw(seed: int, purpose: str, step: int) -> torch.Tensor:
    return torch.rand(8, generator=generator(seed, purpose, step))


def test_the_same_three_give_the_same_numbers() -> None:
    """The global generator has no part in it, and is left alone."""
    for seed, purpose, step in itertools.product((0, 7), PURPOSES, (0, 3, 30_000)):
        torch.manual_seed(step)
        expected = torch.rand(3)
        torch.manual_seed(step)
        first = draw(seed, purpose, step)
        assert torch.equal(torch.rand(3), expected)
        assert torch.equal(draw(seed, purpose, step), first)
    assert torch.equal(torch.rand(3, generator=generator(2, "split")), draw(2, "split", 0)[:3])


def test_any_difference_gives_other_numbers() -> None:
    """Also where seed and step are swapped, or differ by one."""
    keys = list(itertools.product(range(5), PURPOSES, range(5)))
    drawn = {tuple(draw(*key).tolist()) for key in keys}
    assert len(drawn) == len(keys)


def test_an_unknown_purpose_is_a_bug() -> None:
    with pytest.raises(ValueError, match="not in"):
        generator(0, "coffee")
