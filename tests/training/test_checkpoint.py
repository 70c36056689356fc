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
    shapes = {"means": (3,), "quats": (4,), "log_scales": (3,), "logit_opacities": ()}
    shapes |= {"sh": (4, 3), "features": (features,)}

    def normal(name: str) -> torch.Tensor:
        return torch.randn(count, *shapes[name], generator=random)

    state = TrainState.start(Gaussians(**{name: normal(name) for name in shapes}))
    assert not any(tensor.any() for tensor in tensors_of(state)[6:]), "nothing is learned yet"
    for name, moments in state.moments.items():
        moments.first, moments.second = normal(name), normal(name).square()
    state.statistics.gradient_sum += torch.rand(count, generator=random)
    state.statistics.seen += 3
    state.iteration, state.feature_step = 41, 38
    return state


def tensors_of(state: TrainState) -> list[torch.Tensor]:
    assert state.moments.keys() == state.gaussians.tensors().keys()
    pairs = [(moments.first, moments.second) for moments in state.moments.values()]
    statistics = state.statistics.gradient_sum, state.statistics.seen
    return [*state.gaussians, *statistics, *(moment for pair in pairs for moment in pair)]


@pytest.mark.parametrize(("count", "features"), [(5, 16), (1, 16), (3, 0)])
def test_what_is_saved_is_loaded(tmp_path: Path, count: int, features: int) -> None:
    state = some_state(count, features)
    assert load_checkpoint(tmp_path) is load_checkpoint(tmp_path / "nowhere") is None
    Checkpoint(tmp_path, IDENTITY).save(some_state(2))  # is replaced
    Checkpoint(tmp_path, IDENTITY).save(state)
    assert [path.name for path in (tmp_path / CHECKPOINT.parent).iterdir()] == [CHECKPOINT.name]
    loaded, identity = load_checkpoint(tmp_path) or pytest.fail("no checkpoint")
    assert identity == IDENTITY
    assert (loaded.iteration, loaded.feature_step) == (41, 38)
    assert all(map(torch.equal, tensors_of(loaded), tensors_of(state)))
    meta = torch.device("meta")
    assert all(tensor.device == meta for tensor in tensors_of(loaded.to(meta)))


@pytest.mark.parametrize("missing", ["identity", "iteration", "moment2.sh", "features", "the end"])
def test_a_file_that_lacks_something_is_no_checkpoint(tmp_path: Path, missing: str) -> None:
    Checkpoint(tmp_path, IDENTITY).save(some_state())
    path = tmp_path / CHECKPOINT
    sentence = rf"is not a training checkpoint.*{missing}.*`restart`"
    if missing == "the end":
        path.write_bytes(path.read_bytes()[:-100])
        sentence = r"latest\.safetensors is not a whole safetensors file"
    else:
        parts = [{k: v for k, v in part.items() if k != missing} for part in read_tensors(path)]
        write_tensors(path, *parts)
    with pytest.raises(SplatsegError, match=sentence):
        load_checkpoint(tmp_path)
