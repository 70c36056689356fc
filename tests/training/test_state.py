"""Checkpoints: what is saved is loaded, and nothing else is."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.tensor_files import read_tensors, write_tensors
from splatseg.training.state import (
    CHECKPOINT,
    TrainState,
    check_identity,
    load_checkpoint,
    save_checkpoint,
)

IDENTITY = {"iterations": 60, "contrastive": {"interval": 7}, "masks": None}


def some_state(count: int = 5, features: int = 16) -> TrainState:
    random = torch.Generator().manual_seed(count)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    shapes = {
        "means": (count, 3),
        "quats": (count, 4),
        "log_scales": (count, 3),
        "logit_opacities": (count,),
        "sh": (count, 4, 3),
        "features": (count, features),
    }
    state = TrainState.start(Gaussians(**{name: normal(*s) for name, s in shapes.items()}))
    for name, moments in state.moments.items():
        moments.first, moments.second = normal(*shapes[name]), normal(*shapes[name]).square()
    state.statistics.gradient_sum += normal(count).square()
    state.statistics.seen += 3
    state.iteration, state.feature_step = 41, 38
    return state


def test_a_run_starts_with_nothing_learned() -> None:
    state = TrainState.start(some_state().gaussians)
    assert (state.iteration, state.feature_step) == (0, 0)
    for name, tensor in state.gaussians.tensors().items():
        assert state.moments[name].first.shape == state.moments[name].second.shape == tensor.shape
        assert not state.moments[name].first.any() and not state.moments[name].second.any()
    assert not state.statistics.seen.any()


@pytest.mark.parametrize(("count", "features"), [(5, 16), (1, 16), (3, 0)])
def test_what_is_saved_is_loaded(tmp_path: Path, count: int, features: int) -> None:
    state = some_state(count, features)
    save_checkpoint(tmp_path, state, IDENTITY)
    loaded = load_checkpoint(tmp_path, IDENTITY)
    assert loaded is not None
    assert (loaded.iteration, loaded.feature_step) == (41, 38)
    for a, b in zip(state.gaussians, loaded.gaussians, strict=True):
        assert torch.equal(a, b)
    for name, moments in state.moments.items():
        assert torch.equal(moments.first, loaded.moments[name].first)
        assert torch.equal(moments.second, loaded.moments[name].second)
    assert torch.equal(state.statistics.gradient_sum, loaded.statistics.gradient_sum)
    assert torch.equal(state.statistics.seen, loaded.statistics.seen)


def test_no_checkpoint_is_no_run(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, IDENTITY) is None
    assert load_checkpoint(tmp_path / "nowhere", IDENTITY) is None


def test_the_newest_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, some_state(3), IDENTITY)
    save_checkpoint(tmp_path, some_state(4), IDENTITY)
    loaded = load_checkpoint(tmp_path, IDENTITY)
    assert loaded is not None and len(loaded.gaussians) == 4
    assert [path.name for path in (tmp_path / CHECKPOINT.parent).iterdir()] == [CHECKPOINT.name]


@pytest.mark.parametrize("missing", ["identity", "iteration", "moment2.sh", "features"])
def test_a_file_that_lacks_something_is_no_checkpoint(tmp_path: Path, missing: str) -> None:
    save_checkpoint(tmp_path, some_state(), IDENTITY)
    tensors, metadata = read_tensors(tmp_path / CHECKPOINT)
    tensors.pop(missing, None)
    metadata.pop(missing, None)
    write_tensors(tmp_path / CHECKPOINT, tensors, metadata)
    with pytest.raises(SplatsegError, match="is not a training checkpoint") as caught:
        load_checkpoint(tmp_path, IDENTITY)
    assert missing in str(caught.value) and "--restart" in str(caught.value)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, some_state(), IDENTITY)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SplatsegError, match=r"latest\.safetensors is not a whole safetensors file"):
        load_checkpoint(tmp_path, IDENTITY)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, some_state(), IDENTITY)
    with pytest.raises(SplatsegError, match=r"unfinished run .*\(iterations was 60, now 70\)"):
        load_checkpoint(tmp_path, IDENTITY | {"iterations": 70})


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({"iterations": 50}, "iterations was 50, now 60"),
        ({"contrastive": {"interval": 9}}, "contrastive.interval was 9, now 7"),
        ({"masks": "sam"}, "masks was sam, now None"),
        ({"masks": "sam", "iterations": 50}, "iterations was 50, now 60"),  # the first of them
        ({"new": 1}, "new was 1, now None"),  # a setting of a later version
        ({"contrastive": {}}, "contrastive.interval was None, now 7"),
    ],
)
def test_the_first_setting_that_differs_is_named(there: dict[str, Any], named: str) -> None:
    with pytest.raises(SplatsegError) as caught:
        check_identity(IDENTITY | there, IDENTITY, "scene holds a run")
    assert str(caught.value).startswith(f"scene holds a run with other settings ({named});")


def test_an_identity_outlives_json(config) -> None:
    """Floats and nested groups compare equal after they were stored."""
    identity = dataclasses.asdict(config())
    check_identity(json.loads(json.dumps(identity)), identity, "it holds a run")
