"""Our Adam against torch's, natively (each instruction set) and in plain torch."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from splatseg.engine import library as engine
from splatseg.engine.adam import BETA1, BETA2, EPSILON, Moments, adam_steps

# Relative. In float32, 1 - 0.999 is off by 1.3e-5, and so is the engine's second moment.
TOLERANCE = 2e-5
SIZES = (0, 1, 15, 16, 17, 1000)
ROWS = [(), (3,), (4,), (16, 3), (5, 7), (16,)]
SHAPES = [*((n,) for n in SIZES), *((n, *row) for n in (1, 6, 37) for row in ROWS), (10, 0), (0, 3)]
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


@pytest.fixture(params=("torch", "avx512", "avx2", "portable"))
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The plain torch code, and the engine with each instruction set."""
    if request.param == "torch":
        monkeypatch.setattr(engine, "is_available", lambda: False)
        yield request.param
        return
    if not engine.is_available():
        pytest.skip("the native engine was not compiled")
    if request.param not in engine.instruction_sets():
        pytest.skip(f"this machine cannot run {request.param}")
    before = engine.instruction_set()
    engine.use_instruction_set(request.param)
    yield request.param
    engine.use_instruction_set(before)


def gradients(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Of very different sizes, from Gaussian to Gaussian and from step to step."""
    generator = torch.Generator().manual_seed(0)
    powers = 10.0 ** torch.randint(-6, 2, (shape[0], *[1] * (len(shape) - 1)), generator=generator)
    return [powers * torch.randn(shape, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_step_is_torchs(shape: tuple[int, ...], path: str, threads: int) -> None:
    """At rate 1 from 0, for the steps do not depend on where the parameter is."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    rates = 0.001 + torch.rand(shape[1:], generator=generator)
    parameter, moments = start.clone(), Moments.zeros_like(start)
    moved = torch.zeros(shape, requires_grad=True)
    adam = torch.optim.Adam([moved], lr=1.0, betas=(BETA1, BETA2), eps=EPSILON)
    for step, gradient in enumerate(gradients(shape, 12), start=1):
        given = gradient.movedim(0, -1).contiguous().movedim(-1, 0)  # a permuted view
        adam_steps(parameter, given, moments, rates.flatten(), step)
        if start.numel() == 0:
            continue
        moved.grad = gradient.clone()
        adam.step()
        expected, atol = start + rates * moved.detach(), TOLERANCE * rates.max().item() * step
        torch.testing.assert_close(parameter, expected, rtol=TOLERANCE, atol=atol)
        if len(shape) == 1:
            mean, square = (adam.state[moved][name] for name in ("exp_avg", "exp_avg_sq"))
            atol = 1e-7 * mean.abs().max().item()
            torch.testing.assert_close(moments.first, mean, rtol=TOLERANCE, atol=atol)
            torch.testing.assert_close(moments.second, square, rtol=TOLERANCE, atol=1e-36)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first_is_idle", [False, True])
def test_idle_steps_have_no_gradient(
    size: int, first_is_idle: bool, path: str, threads: int
) -> None:
    """Together, one by one, and with gradients that are 0: the same bits."""
    warm_up, last = gradients((size, 3), 2)
    rates = torch.tensor([0.01, 0.002, 0.3])
    start = torch.randn(size, 3, generator=torch.manual_seed(3))
    results = []
    for idle, count in ((None, 20), (None, 1), (torch.zeros(size, 3), 1)):
        parameter, moments = start.clone(), Moments.zeros_like(start)
        adam_steps(parameter, warm_up, moments, rates, 1)
        for step in range(2, 22, count):
            gradient = last if step == 2 and not first_is_idle else idle
            adam_steps(parameter, gradient, moments, rates, step, count=count)
        results.append((parameter, moments.first, moments.second))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_moments_never_become_denormal() -> None:
    """They decay by 0.9 a step for thousands of steps; denormal numbers would be slow."""
    if not engine.is_available():
        pytest.skip("the native engine was not compiled; plain torch keeps denormals")
    before = engine.instruction_set()
    for name in engine.instruction_sets():
        engine.use_instruction_set(name)
        (gradient,) = gradients((100,), 1)
        parameter, moments = torch.zeros(100), Moments.zeros_like(gradient)
        adam_steps(parameter, 1e-10 * gradient, moments, torch.tensor(0.01), 1)
        for first_step in range(2, 2000, 50):
            adam_steps(parameter, None, moments, torch.tensor(0.01), first_step, count=50)
            for moment in (moments.first, moments.second):
                assert not ((moment != 0) & (moment.abs() < SMALLEST_NORMAL)).any()
        assert not moments.first.any(), "all of the first moment has decayed"
        assert bool(parameter.isfinite().all())
    engine.use_instruction_set(before)


def test_no_gradient_at_all_changes_nothing(path: str) -> None:
    parameter = torch.randn(20, generator=torch.manual_seed(4))
    before, moments = parameter.clone(), Moments.zeros_like(parameter)
    adam_steps(parameter, None, moments, torch.tensor(0.1), 1, count=30)
    assert torch.equal(parameter, before)
    assert not moments.first.any() and not moments.second.any()


def test_the_first_step_is_the_learning_rate(path: str) -> None:
    """Whatever the size of the gradient: m / sqrt(v) is its sign."""
    gradient = torch.tensor([1e-6, -1e-6, 1.0, -1e4, 0.0])
    parameter, moments = torch.zeros(5), Moments.zeros_like(gradient)
    adam_steps(parameter, gradient, moments, torch.tensor(0.25), 1)
    expected = torch.tensor([-0.25, 0.25, -0.25, 0.25, 0.0])
    torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=0.0)
