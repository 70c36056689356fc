"""The state of a run and its checkpoint: what is saved is loaded, and nothing else is."""

from pathlib import Path

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.tensor_files import read_tensors, write_tensors
from splatseg.training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from splatseg.training.state import TrainState

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
    Checkpoint(tmp_path, IDENTITY).save(some_state(2))  # is replaced
    Checkpoint(tmp_path, IDENTITY).save(state)
    assert [path.name for path in (tmp_path / CHECKPOINT.parent).iterdir()] == [CHECKPOINT.name]
    loaded, identity = load_checkpoint(tmp_path) or pytest.fail("no checkpoint")
    assert identity == IDENTITY
    assert (loaded.iteration, loaded.feature_step) == (41, 38)
    for a, b in zip(state.gaussians, loaded.gaussians, strict=True):
        assert torch.equal(a, b)
    for name, moments in state.moments.items():
        assert torch.equal(moments.first, loaded.moments[name].first)
        assert torch.equal(moments.second, loaded.moments[name].second)
    assert torch.equal(state.statistics.gradient_sum, loaded.statistics.gradient_sum)
    assert torch.equal(state.statistics.seen, loaded.statistics.seen)


def test_a_state_moves_to_a_device_as_a_whole() -> None:
    meta = torch.device("meta")
    state = some_state().to(meta)
    tensors = [*state.gaussians, state.statistics.gradient_sum, state.statistics.seen]
    tensors += [m for moments in state.moments.values() for m in (moments.first, moments.second)]
    assert all(tensor.device == meta for tensor in tensors)
    assert state.moments.keys() == state.gaussians.tensors().keys()


def test_no_checkpoint_is_no_run(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("missing", ["identity", "iteration", "moment2.sh", "features"])
def test_a_file_that_lacks_something_is_no_checkpoint(tmp_path: Path, missing: str) -> None:
    Checkpoint(tmp_path, IDENTITY).save(some_state())
    tensors, metadata = read_tensors(tmp_path / CHECKPOINT)
    tensors.pop(missing, None)
    metadata.pop(missing, None)
    write_tensors(tmp_path / CHECKPOINT, tensors, metadata)
    with pytest.raises(SplatsegError, match="is not a training checkpoint") as caught:
        load_checkpoint(tmp_path)
    assert missing in str(caught.value) and "`restart`" in str(caught.value)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path, IDENTITY).save(some_state())
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SplatsegError, match=r"latest\.safetensors is not a whole safetensors file"):
        load_checkpoint(tmp_path)
