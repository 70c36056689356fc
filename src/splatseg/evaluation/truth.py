"""Ground truth of a capture: which pixel shows which object.

`objects.json` names the objects ("instances": [{"id", "name"}], ids from 1); the label map
`gt_instances/<frame>.png` holds the id at each pixel, 0 for the background. It may be made at
another scale than the photo. Sizes are (width, height), as in `Camera` and Pillow.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt

from splatseg.errors import SplatsegError
from splatseg.masks import check_size, read_label_map


@dataclass(frozen=True)
class Truth:
    """The objects' names by id, and the instance maps of some frames."""

    names: Mapping[int, str]
    maps: Mapping[str, UInt[np.ndarray, "h w"]]


def load_truth(capture_root: Path, photo_sizes: Mapping[str, tuple[int, int]]) -> Truth:
    """The ground truth of those frames in `photo_sizes` that have any."""
    names = _object_names(capture_root / "objects.json")
    maps = {}
    for frame, photo_size in photo_sizes.items():
        path = capture_root / "gt_instances" / f"{frame}.png"
        if path.is_file():
            maps[frame] = _instance_map(path, photo_size, names)
    return Truth(names=names, maps=maps)


def read_json(path: Path) -> Any:
    """Parsed JSON of one of the capture's ground-truth files."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SplatsegError(
            f"there is no {path}; this protocol needs a capture with ground truth"
        ) from error
    except (OSError, ValueError) as error:
        raise SplatsegError(f"{path} cannot be read as JSON ({error})") from error


def _object_names(path: Path) -> dict[int, str]:
    data = read_json(path)
    try:
        names = {int(instance["id"]): str(instance["name"]) for instance in data["instances"]}
    except (KeyError, TypeError, ValueError) as error:
        raise SplatsegError(
            f'{path} does not list its objects; expected "instances": [{{"id": 1, "name": "cup"}}]'
        ) from error
    if not names or min(names) < 1:
        raise SplatsegError(f"{path} lists the ids {sorted(names)}; expected numbers from 1 up")
    return names


def _instance_map(
    path: Path, photo_size: tuple[int, int], names: Mapping[int, str]
) -> UInt[np.ndarray, "h w"]:
    instance_map = read_label_map(path)
    height, width = instance_map.shape
    check_size(path, (width, height), photo_size)
    unnamed = set(np.unique(instance_map).tolist()) - names.keys() - {0}
    if unnamed:
        raise SplatsegError(
            f"{path} holds the ids {sorted(unnamed)}, which objects.json does not name; add them "
            "there or set these pixels to 0"
        )
    return instance_map
