"""manifest.json: what a scene folder holds besides its tensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.files import read_json, write_bytes
from splatseg.masks.config import Level
from splatseg.version import __version__

FORMAT = "splatseg scene"
SCHEMA = 1  # goes up when an older splatseg could not read, or would misread, what is written


@dataclass(frozen=True)
class Manifest:
    """`config` and `metrics` are JSON values with finite numbers."""

    capture: str
    """Path of the capture that the scene was trained from."""
    gaussians: int
    """How many."""
    files: dict[str, str]
    """The scene's other files: name to SHA-256, in hexadecimal."""
    config: dict[str, Any]
    metrics: dict[str, Any]
    frames: tuple[Frame, ...]
    levels: tuple[Level, ...] = ()
    """Those finer than whole objects that there are features of, the coarser first."""


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest` as JSON, with the format's name and the versions."""
    header = {"format": FORMAT, "schema": SCHEMA, "splatseg": __version__}
    body = vars(manifest) | {"frames": [frame.to_json() for frame in manifest.frames]}
    text = json.dumps(header | body, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode())


def read_manifest(path: Path) -> Manifest:
    """Read what `write_manifest` wrote, by this version or an older one."""
    data = read_json(path, "the manifest of a splatseg scene")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SplatsegError(f"{path} is not the manifest of a splatseg scene")
    try:
        _refuse_newer(path, int(data["schema"]))
        frames = tuple(Frame.from_json(frame) for frame in data["frames"])
        return Manifest(
            capture=str(data["capture"]),
            gaussians=int(data["gaussians"]),
            files=dict(data["files"]),
            config=dict(data["config"]),
            metrics=dict(data["metrics"]),
            frames=frames,
            levels=tuple(data.get("levels", [])),
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise SplatsegError(
            f"{path} is damaged ({reason})",
            remedy="restore it or train again",
        ) from error


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise SplatsegError(
            f"{path} was written by a newer splatseg (schema {schema}, this one reads up to "
            f"{SCHEMA}): update splatseg"
        )
