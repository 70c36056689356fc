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


@pytest.fixture(params=(1, 2))
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    if not engine.is_available():
        if request.param > 1:
            pytest.skip("plain torch does not use the engine's threads")
        yield request.param
        return
    before = engine.threads()
    engine.set_threads(request.param)
    yield request.param
    engine.set_threads(before)


def gradients(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Of very different sizes, from Gaussian to Gaussian and from step to step."""
    generator = torch.Generator().manual_seed(0)
    powers = 10.0 ** torch.randint(-6, 2, (shape[0], *[1] * (len(shape) - 1)), generator=generator)
    return [powers * torch.randn(shape, generator=generator) for _ in range(count)]


def torch_adam(parameter: Tensor, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam([parameter], lr=rate, betas=(BETA1, BETA2), eps=EPSILON)


@pytest.mark.parametrize("size", SIZES)
def test_every_step_is_torchs(size: int, path: str, threads: int) -> None:
    rate = 0.01
    start = torch.randn(size, generator=torch.manual_seed(1))
    parameter, moments = start.clone(), Moments.zeros_like(start)
    expected = start.clone().requires_grad_()
    adam = torch_adam(expected, rate)
    for step, gradient in enumerate(gradients((size,), 12), start=1):
        adam_steps(parameter, gradient, moments, torch.tensor(rate), step)
        expected.grad = gradient.clone()
        adam.step()
        torch.testing.assert_close(
            parameter, expected.detach(), rtol=TOLERANCE, atol=TOLERANCE * rate * step
        )
        if size > 0:
            state = adam.state[expected]
            scale = state["exp_avg"].abs().max().item()
            torch.testing.assert_close(
                moments.first, state["exp_avg"], rtol=TOLERANCE, atol=1e-7 * scale
            )
            torch.testing.assert_close(
                moments.second, state["exp_avg_sq"], rtol=TOLERANCE, atol=1e-36
            )


@pytest.mark.parametrize("row", [(), (3,), (4,), (16, 3), (5, 7), (16,)])
@pytest.mark.parametrize("rows", [1, 6, 37])
def test_every_element_of_a_row_has_its_own_rate(
    rows: int, row: tuple[int, ...], path: str
) -> None:
    """Against torch with a parameter group for each element."""
    generator = torch.Generator().manual_seed(2)
    rates = 0.001 + torch.rand(row, generator=generator).flatten()
    start = torch.randn(rows, *row, generator=generator)
    parameter, moments = start.clone(), Moments.zeros_like(start)
    columns = [c.clone().requires_grad_() for c in start.reshape(rows, -1).unbind(-1)]
    groups = [{"params": [c], "lr": r.item()} for c, r in zip(columns, rates, strict=True)]
    adam = torch.optim.Adam(groups, betas=(BETA1, BETA2), eps=EPSILON)
    for step, gradient in enumerate(gradients((rows, *row), 5), start=1):
        adam_steps(parameter, gradient, moments, rates, step)
        for column, g in zip(columns, gradient.reshape(rows, -1).unbind(-1), strict=True):
            column.grad = g.clone()
        adam.step()
    expected = torch.stack([c.detach() for c in columns], dim=-1).reshape(start.shape)
    farthest = 5 * rates.max().item()  # a step moves a parameter by about its learning rate
    torch.testing.assert_close(parameter, expected, rtol=TOLERANCE, atol=TOLERANCE * farthest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first_is_idle", [False, True])
def test_idle_steps_together_are_idle_steps_one_by_one(
    size: int, first_is_idle: bool, path: str, threads: int
) -> None:
    warm_up, last = gradients((size, 3), 2)
    rates = torch.tensor([0.01, 0.002, 0.3])
    start = torch.randn(size, 3, generator=torch.manual_seed(3))
    results = []
    for together in (True, False):
        parameter, moments = start.clone(), Moments.zeros_like(start)
        adam_steps(parameter, warm_up, moments, rates, 1)
        gradient = None if first_is_idle else last
        if together:
            adam_steps(parameter, gradient, moments, rates, 2, count=20)
        else:
            for step in range(2, 22):
                adam_steps(parameter, gradient if step == 2 else None, moments, rates, step)
        results.append((parameter, moments.first, moments.second))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_idle_steps_are_zero_gradients(path: str) -> None:
    (gradient,) = gradients((50, 3), 1)
    results = []
    for idle in (None, torch.zeros(50, 3)):
        parameter, moments = torch.zeros(50, 3), Moments.zeros_like(gradient)
        adam_steps(parameter, gradient, moments, torch.ones(3), 1)
        for step in range(2, 10):
            adam_steps(parameter, idle, moments, torch.ones(3), step)
        results.append((parameter, moments.first, moments.second))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


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
                tiny = (moment != 0) & (moment.abs() < SMALLEST_NORMAL)
                assert not tiny.any()
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


@pytest.mark.parametrize("shape", [(10, 0), (0, 3)])
def test_fields_without_elements(shape: tuple[int, int], path: str) -> None:
    parameter = torch.zeros(shape)
    adam_steps(parameter, parameter.clone(), Moments.zeros_like(parameter), torch.ones(shape[1]), 1)


def test_gradients_may_be_permuted_views(path: str) -> None:
    (gradient,) = gradients((8, 3), 1)
    results = []
    for given in (gradient, gradient.T.contiguous().T):
        parameter = torch.zeros(8, 3)
        adam_steps(parameter, given, Moments.zeros_like(parameter), torch.ones(3), 1)
        results.append(parameter)
    assert torch.equal(*results)
