import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.losses.nested import (
    MAX_SHARED,
    MIN_SAMPLES,
    TEMPERATURE,
    foes,
    nested_contrastive_loss,
)


def slow_loss(features, membership, is_foe):
    """The docstring's formula, pixel by pixel."""
    unit = [f / f.norm() for f in features]
    segments = [s for s in range(membership.shape[1]) if membership[:, s].sum() >= MIN_SAMPLES]
    centres = {}
    for s in segments:
        mean = sum(unit[q] for q in range(len(unit)) if membership[q, s])
        centres[s] = mean / mean.norm()
    losses = []
    for q, f in enumerate(unit):
        own = [s for s in segments if membership[q, s]]
        if not own:
            continue
        logs = []
        for s in own:
            against = sum(
                math.exp(float(f @ centres[o]) / TEMPERATURE) for o in segments if is_foe[s, o]
            )
            towards = math.exp(float(f @ centres[s]) / TEMPERATURE)
            logs.append(-math.log(towards / (towards + against)))
        losses.append(sum(logs) / len(logs))
    return sum(losses) / len(losses) if losses else 0.0


def random_case(seed, pixels, segments):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(pixels, 5, generator=g, dtype=torch.float64)
    membership = torch.rand(pixels, segments, generator=g) < 0.4
    is_foe = torch.rand(segments, segments, generator=g) < 0.6
    return features, membership, is_foe


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 5))
def test_agrees_with_the_formula_written_out(seed, pixels, segments):
    features, membership, is_foe = random_case(seed, pixels, segments)

    loss = nested_contrastive_loss(features.float(), membership, is_foe)

    assert loss.item() == pytest.approx(slow_loss(features, membership, is_foe), abs=2e-5)


def test_gradient_is_that_of_finite_differences():
    _, membership, is_foe = random_case(3, 9, 4)
    features = torch.randn(
        9, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64, requires_grad=True
    )

    def loss(f):
        return nested_contrastive_loss(f, membership, is_foe)

    assert torch.autograd.gradcheck(loss, (features,))


def test_the_order_of_segments_does_not_matter():
    features, membership, is_foe = random_case(7, 30, 6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))

    a = nested_contrastive_loss(features, membership, is_foe)
    b = nested_contrastive_loss(features, membership[:, order], is_foe[order][:, order])

    assert a.item() == pytest.approx(b.item())


def test_without_a_segment_the_loss_is_0_with_a_gradient_of_0():
    features = torch.randn(4, 3, requires_grad=True)
    none = torch.zeros(4, 2, dtype=torch.bool)

    loss = nested_contrastive_loss(features, none, torch.ones(2, 2, dtype=torch.bool))
    loss.backward()

    assert loss.item() == 0
    assert features.grad is not None and not features.grad.any()


def test_parts_and_wholes_are_no_foes_and_strangers_are():
    # Segments: a whole, its part, a stranger. Regions: 1 only in the whole, 2 also in its part, 3
    # in the stranger.
    membership = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]]).bool()

    is_foe = foes(membership, torch.tensor([50, 60, 40, 70]))

    assert is_foe.tolist() == [
        [False, False, True],
        [False, False, True],
        [True, True, False],
    ]


@pytest.mark.parametrize("share, is_foe", [(MAX_SHARED - 0.05, True), (MAX_SHARED + 0.05, False)])
def test_a_segment_that_lies_in_another_by_much_is_no_foe_of_it(share, is_foe):
    # Region 1 in the first segment only, 2 in both, 3 in the second only.
    membership = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]]).bool()
    both = round(100 * share)

    found = foes(membership, torch.tensor([0, 500, both, 100 - both]))

    assert bool(found[0, 1]) is is_foe


def test_descent_parts_two_objects_that_one_mask_joins():
    """In one view, where a mask joins what two others part; a flat map cannot have all three."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(40, 8, generator=g, requires_grad=True)
    first = torch.arange(40) < 20
    membership = torch.stack([first, ~first, torch.ones(40, dtype=torch.bool)], dim=1)
    is_foe = torch.zeros(3, 3, dtype=torch.bool)
    is_foe[0, 1] = is_foe[1, 0] = True
    optimizer = torch.optim.Adam([features], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        nested_contrastive_loss(features, membership, is_foe).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(features.detach(), dim=1)
    cosine = unit @ unit.T
    within, across = cosine[:20, :20].mean() + cosine[20:, 20:].mean(), cosine[:20, 20:].mean()
    assert within / 2 > 0.6
    assert across < -0.2
