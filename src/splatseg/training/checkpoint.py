"""The checkpoint of a training run.

It holds everything a run needs to end with the same bits as if it had never stopped: random
numbers are functions of seed and step (randomness.py), so none are saved. The device is no part of
it: a run may go on on another one, though then not with the same bits.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatseg.engine.adam import Moments
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.tensor_files import read_tensors, write_tensors
from splatseg.training.density import DensityStatistics
from splatseg.training.state import TrainState

CHECKPOINT = Path("checkpoints") / "latest.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Where the checkpoint of a run is kept, and which run it is."""

    folder: Path
    """The scene folder."""
    identity: dict[str, Any]
    """What two runs must share to be the same run: JSON values."""

    def save(self, state: TrainState) -> None:
        """Write it, in place of the one before."""
        tensors = dict(state.gaussians.tensors())
        for name, moments in state.moments.items():
            tensors |= {f"moment1.{name}": moments.first, f"moment2.{name}": moments.second}
        tensors |= {
            "statistics.gradient_sum": state.statistics.gradient_sum,
            "statistics.seen": state.statistics.seen,
        }
        metadata = {
            "iteration": str(state.iteration),
            "feature_step": str(state.feature_step),
            "seconds": str(state.seconds),
            "identity": json.dumps(self.identity),
        }
        write_tensors(self.folder / CHECKPOINT, tensors, metadata)


def load_checkpoint(folder: Path) -> tuple[TrainState, dict[str, Any]] | None:
    """The unfinished run in `folder`, on the CPU, and its identity; None if there is none.

    Raises:
        SplatsegError: the file is no training checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    try:
        identity = json.loads(metadata["identity"])
        names = list(Gaussians.__dataclass_fields__)
        state = TrainState(
            iteration=int(metadata["iteration"]),
            gaussians=Gaussians(**{name: tensors[name] for name in names}),
            moments={n: Moments(tensors[f"moment1.{n}"], tensors[f"moment2.{n}"]) for n in names},
            statistics=DensityStatistics(
                tensors["statistics.gradient_sum"], tensors["statistics.seen"]
            ),
            feature_step=int(metadata["feature_step"]),
            seconds=float(metadata["seconds"]),
        )
    except (KeyError, ValueError) as error:
        raise SplatsegError(
            f"{path} is not a training checkpoint ({error})",
            remedy="delete it or pass `restart`",
        ) from error
    return state, identity
