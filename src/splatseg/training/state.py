"""All that a training run changes, and its checkpoint.

A checkpoint holds everything a run needs to end with the same bits as if it had never stopped:
random numbers are functions of seed and step (randomness.py), so none are saved. The device is no
part of it: a run may go on on another one, though then not with the same bits.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from splatseg.capture import Capture
from splatseg.engine.adam import Moments
from splatseg.engine.buffers import GradientBuffers
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.tensor_files import read_tensors, write_tensors
from splatseg.training.config import TrainConfig
from splatseg.training.density import DensityStatistics

CHECKPOINT = Path("checkpoints") / "latest.safetensors"


@dataclass
class TrainState:
    """A run after `iteration` iterations. Tensors are updated in place or replaced."""

    iteration: int
    gaussians: Gaussians
    moments: dict[str, Moments]
    statistics: DensityStatistics
    feature_step: int
    """Adam steps that the features have had; idle ones are caught up with when needed."""
    seconds: float
    """Time trained so far, in all processes that had a part in the run."""
    buffers: GradientBuffers = field(default_factory=GradientBuffers)

    @staticmethod
    def start(gaussians: Gaussians) -> "TrainState":
        """Before the first iteration."""
        moments = {name: Moments.zeros_like(t) for name, t in gaussians.tensors().items()}
        return TrainState(0, gaussians, moments, DensityStatistics.zeros(len(gaussians)), 0, 0.0)

    def to(self, device: torch.device) -> "TrainState":
        """The same with every tensor on `device`."""
        moments = {
            name: Moments(m.first.to(device), m.second.to(device))
            for name, m in self.moments.items()
        }
        gaussians, statistics = self.gaussians.to(device), self.statistics.to(device)
        return replace(self, gaussians=gaussians, moments=moments, statistics=statistics)


def save_checkpoint(folder: Path, state: TrainState, identity: dict[str, Any]) -> None:
    """Write the checkpoint of the run in `folder`; `identity` says which run it is."""
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
        "identity": json.dumps(identity),
    }
    write_tensors(folder / CHECKPOINT, tensors, metadata)


def load_checkpoint(folder: Path, identity: dict[str, Any]) -> TrainState | None:
    """The run to go on with in `folder`, on the CPU; None if there is none.

    Raises:
        SplatsegError: the checkpoint there belongs to another run.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    try:
        found = json.loads(metadata["identity"])
        iteration, feature_step = int(metadata["iteration"]), int(metadata["feature_step"])
        seconds = float(metadata["seconds"])
        names = list(Gaussians.__dataclass_fields__)
        moments = {n: Moments(tensors[f"moment1.{n}"], tensors[f"moment2.{n}"]) for n in names}
        statistics = DensityStatistics(
            tensors["statistics.gradient_sum"], tensors["statistics.seen"]
        )
        gaussians = Gaussians(**{name: tensors[name] for name in names})
    except (KeyError, ValueError) as error:
        raise SplatsegError(
            f"{path} is not a training checkpoint ({error})",
            remedy="delete it or pass `restart`",
        ) from error
    check_identity(found, identity, f"{folder} holds an unfinished run")
    return TrainState(iteration, gaussians, moments, statistics, feature_step, seconds)


def run_identity(config: TrainConfig, capture: Capture, masks: str | None) -> dict[str, Any]:
    """What two runs must share to be the same run."""
    frames = json.dumps([frame.to_json() for frame in capture.frames])
    return asdict(config) | {
        "capture": str(capture.root.resolve()),
        "masks": masks,
        "downscale": capture.downscale,
        "poses_and_split": hashlib.sha256(frames.encode()).hexdigest()[:8],
    }


def check_identity(found: dict[str, Any], expected: dict[str, Any], what: str) -> None:
    """Refuse to mix two runs, naming the first setting in which they differ."""
    differing = _differences(found, expected)
    if differing:
        name, there, here = differing[0]
        raise SplatsegError(
            f"{what} with other settings ({name} was {there}, now {here})",
            remedy=(
                "pass the same settings, `restart` to begin again in its place, or another `output`"
            ),
        )


def _differences(found: Any, expected: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = list(expected) + [key for key in found if key not in expected]
        return [
            difference
            for key in keys
            for difference in _differences(
                found.get(key), expected.get(key), f"{name}.{key}" if name else key
            )
        ]
    return [] if found == expected else [(name, found, expected)]
