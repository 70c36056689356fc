"""The scene type: activations, selection, concatenation."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from splatseg.geometry import Gaussians, concatenate

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh", "features")


def scene(count: int = 7, degree: int = 1, features: int = 5, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3),
        quats=normal(count, 4),
        log_scales=normal(count, 3),
        logit_opacities=normal(count),
        sh=normal(count, (degree + 1) ** 2, 3),
        features=normal(count, features),
    )


def assert_same(one: Gaussians, other: Gaussians) -> None:
    for name in FIELDS:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_activations_undo_what_their_names_say():
    gaussians = scene()
    assert len(gaussians) == 7 and gaussians.sh_degree == 1
    torch.testing.assert_close(gaussians.opacities.logit(), gaussians.logit_opacities)
    torch.testing.assert_close(gaussians.scales.log(), gaussians.log_scales)


def test_fields_come_in_declaration_order():
    gaussians = scene()
    assert tuple(gaussians.tensors()) == FIELDS
    assert tuple(f.name for f in dataclasses.fields(Gaussians)) == FIELDS
    assert all(a is b for a, b in zip(gaussians, gaussians.tensors().values(), strict=True))


@given(cut=st.integers(0, 9))
def test_selecting_and_concatenating_undo_each_other(cut):
    gaussians = scene(9)
    everyone = torch.arange(9)
    parts = [gaussians.select(everyone[:cut]), gaussians.select(everyone >= cut)]
    assert [len(p) for p in parts] == [cut, 9 - cut]
    assert_same(concatenate(parts), gaussians)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(cut))
    assert_same(gaussians.select(order).select(order.argsort()), gaussians)
    repeated = gaussians.select(torch.tensor([2, 2, 0]))
    assert_same(repeated, concatenate([gaussians.select(torch.tensor([i])) for i in (2, 2, 0)]))


def test_detached_values_share_memory_and_have_no_history():
    gaussians = Gaussians(**{k: t.requires_grad_() for k, t in scene().tensors().items()})
    detached = gaussians.detach()
    assert_same(detached, gaussians)
    for name in FIELDS:
        assert not getattr(detached, name).requires_grad
        assert getattr(detached, name).data_ptr() == getattr(gaussians, name).data_ptr()


def test_casting_casts_every_field():
    double = scene().to(torch.float64)
    assert all(t.dtype == torch.float64 for t in double)
    assert_same(double.to(torch.float32), scene())


def test_gaussians_cannot_be_rebound():
    with pytest.raises(dataclasses.FrozenInstanceError):
        scene().means = torch.zeros(7, 3)  # type: ignore[misc]
