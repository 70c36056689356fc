"""Which run a scene or a checkpoint comes from, so that two runs are not mixed."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.training.config import TrainConfig


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
