"""The scene folder: all that is known of a trained scene, in files that other tools can read.

    scene.ply             the Gaussians, as any 3DGS viewer reads them
    features.safetensors  "features" [n, f] float16, one row for each row of scene.ply; of finer
                          levels than whole objects, if any, "features.part", "features.subpart"
    labels.safetensors    "labels" [n], object ids, 0 = none, -1 = floater; "labels.part",
                          "labels.subpart", ids of parts; after `splatseg cluster`
    manifest.json         configuration, capture, frames, metrics, checksums of the above

Other files and folders in it (checkpoints/, picks/, renders/) are left alone.

A save has happened whole or not at all. Its files are first written to a temporary folder, which
is then renamed to `.pending`: at that moment the save has happened. From then on a file in
`.pending` counts instead of its namesake in the scene folder, whoever reads, until it is moved
there. What a kill leaves in `.pending` the next save moves first. One process at a time may save.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.files import cannot_read, replacing_folder
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import Level
from splatseg.scene.manifest import Manifest, read_manifest, write_manifest
from splatseg.scene.ply import read_ply, write_ply
from splatseg.tensor_files import read_tensors, write_tensors

PLY = "scene.ply"
FEATURES = "features.safetensors"
LABELS = "labels.safetensors"
MANIFEST = "manifest.json"
SCENE_FILES = frozenset({PLY, FEATURES, LABELS, MANIFEST})
PENDING = ".pending"


@dataclass(frozen=True)
class Scene:
    """What a scene folder holds. `config` and `metrics` are JSON values with finite numbers."""

    gaussians: Gaussians
    frames: tuple[Frame, ...]
    capture: str
    """Path of the capture that the scene was trained from."""
    config: dict[str, Any]
    """The resolved training configuration."""
    metrics: dict[str, Any]
    labels: Int[Tensor, " n"] | None = None
    """Object id of each Gaussian, 0 = none, -1 = a floater; objects may be background."""
    parts: Mapping[Level, Int[Tensor, " n"]] = field(default_factory=dict)
    """Of finer levels: the part of its object that each Gaussian is in, 0 = none."""
    levels: Mapping[Level, Float[Tensor, "n f"]] = field(default_factory=dict)
    """Features of the levels that are finer than whole objects, the coarser first."""

    @property
    def train(self) -> list[Frame]:
        """The frames that the scene was trained on, in order."""
        return [frame for frame in self.frames if not frame.is_test]

    @property
    def test(self) -> list[Frame]:
        """The frames held out from training, in order."""
        return [frame for frame in self.frames if frame.is_test]

    def frame(self, name: str) -> Frame:
        """The frame of that name.

        Raises:
            SplatsegError: there is none.
        """
        for frame in self.frames:
            if frame.name == name:
                return frame
        some = ", ".join(sorted(frame.name for frame in self.frames)[:3])
        raise SplatsegError(f"there is no frame {name}", remedy=f"the scene has {some}, ...")

    def to(self, device: torch.device) -> "Scene":
        """The same with its tensors on `device`."""
        return replace(
            self,
            gaussians=self.gaussians.to(device),
            labels=None if self.labels is None else self.labels.to(device),
            parts={level: labels.to(device) for level, labels in self.parts.items()},
            levels={level: features.to(device) for level, features in self.levels.items()},
        )

    def select(self, kept: Bool[Tensor, " n"]) -> "Scene":
        """The same with only these Gaussians, and what belongs to them."""
        return replace(
            self,
            gaussians=self.gaussians.select(kept),
            labels=None if self.labels is None else self.labels[kept],
            parts={level: labels[kept] for level, labels in self.parts.items()},
            levels={level: features[kept] for level, features in self.levels.items()},
        )

    def at(self, level: Level) -> "Scene":
        """The same with the features of `level` in its Gaussians.

        Where nothing has subparts, the level of subparts is that of parts.

        Raises:
            SplatsegError: a finer level than `whole` of a scene that has none.
        """
        if level == "whole":
            return self
        if not self.levels:
            raise SplatsegError(
                f"the scene has no level {level}, only whole objects",
                remedy="splatseg lift finds the levels that masks agree on",
            )
        features = self.levels.get(level, list(self.levels.values())[-1])
        return replace(self, gaussians=replace(self.gaussians, features=features))


def save_scene(folder: Path | str, scene: Scene) -> None:
    """Write `scene` to `folder`, whole or not at all, in place of the scene that may be there.

    Args:
        folder: is made if need be; other files in it stay.
        scene: features are stored in half precision.

    Raises:
        SplatsegError: it holds no Gaussian, NaN or infinity; labels are not one a Gaussian; or the
            folder cannot be written. The scene that was there is then unchanged.
    """
    folder, count = Path(folder), len(scene.gaussians)
    with _saving(folder) as staging:
        write_ply(staging / PLY, scene.gaussians)
        levels = {_tensor(level): features.half() for level, features in scene.levels.items()}
        features = {"features": scene.gaussians.features.half()}
        write_tensors(staging / FEATURES, features | levels, {})
        if scene.labels is not None:
            _write_labels(staging / LABELS, scene.labels, scene.parts, count)
        manifest = Manifest(
            capture=scene.capture,
            gaussians=count,
            files=_checksums(staging),
            config=scene.config,
            metrics=scene.metrics,
            frames=scene.frames,
            levels=tuple(scene.levels),
        )
        write_manifest(staging / MANIFEST, manifest)
    if scene.labels is None:
        with suppress(OSError):  # the scene before may have had some; the manifest lists none now
            (folder / LABELS).unlink()


def load_scene(folder: Path | str) -> Scene:
    """Read the scene in `folder`.

    Returns:
        The scene with its tensors on the CPU, features and those of finer levels in float32.

    Raises:
        SplatsegError: `folder` is no scene, or a file of it is missing, damaged, or not the one
            that was saved.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    for name in (PLY, FEATURES, *manifest.files):
        _verify(folder, name, manifest)
    gaussians = read_ply(_current(folder, PLY))
    path, count = _current(folder, FEATURES), len(gaussians)
    labels: Tensor | None = None
    parts: dict[Level, Tensor] = {}
    if LABELS in manifest.files:
        ids = _current(folder, LABELS)
        labels = _read_rows(ids, "labels", count)
        there = read_tensors(ids)[0]
        for level in manifest.levels:
            if _part_tensor(level) in there:
                parts[level] = _read_rows(ids, _part_tensor(level), count)
    return Scene(
        gaussians=replace(gaussians, features=_read_rows(path, "features", count).float()),
        frames=manifest.frames,
        capture=manifest.capture,
        config=manifest.config,
        metrics=manifest.metrics,
        labels=labels,
        parts=parts,
        levels={
            level: _read_rows(path, _tensor(level), count).float() for level in manifest.levels
        },
    )


def save_labels(
    folder: Path, labels: Int[Tensor, " n"], parts: Mapping[Level, Int[Tensor, " n"]] | None = None
) -> None:
    """Give the scene in `folder` an object id for each Gaussian; its other files stay."""
    manifest = _read_manifest(folder)
    with _saving(folder) as staging:
        _write_labels(staging / LABELS, labels, parts or {}, manifest.gaussians)
        files = manifest.files | _checksums(staging)
        write_manifest(staging / MANIFEST, replace(manifest, files=files))


def add_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Add `metrics` to those of the scene in `folder`; one of the same name is replaced."""
    manifest = _read_manifest(folder)
    with _saving(folder) as staging:
        updated = replace(manifest, metrics=manifest.metrics | metrics)
        write_manifest(staging / MANIFEST, updated)


@contextmanager
def _saving(folder: Path) -> Iterator[Path]:
    """Yield a folder to write the new files to; with the last of them there, they are the scene."""
    _settle(folder)
    with replacing_folder(folder / PENDING) as staging:
        yield staging
    _settle(folder)


def _settle(folder: Path) -> None:
    """Move what is in `.pending` to its place. Killed anywhere in here, it can be done again."""
    pending = folder / PENDING
    if not pending.exists():
        return
    try:
        for file in list(pending.iterdir()):
            os.replace(file, folder / file.name)
        pending.rmdir()
    except OSError as error:
        raise SplatsegError(
            f"{folder} is saved, but a file in {pending} cannot be moved out ({error.strerror}): "
            "close the programs that have the old one open, and save again"
        ) from error


def _current(folder: Path, name: str) -> Path:
    """Where the file `name` of a scene is: in `.pending` if a save was stopped half-way."""
    pending = folder / PENDING / name
    return pending if pending.exists() else folder / name


def _read_manifest(folder: Path) -> Manifest:
    path = _current(folder, MANIFEST)
    if not path.exists():
        problem = "has no manifest.json" if folder.exists() else "does not exist"
        raise SplatsegError(
            f"{folder} is not a scene: it {problem}",
            expected="a folder that `splatseg train` wrote",
        )
    return read_manifest(path)


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: _sha256(path) for path in sorted(folder.iterdir())}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(folder: Path, name: str, manifest: Manifest) -> None:
    """Refuse a file that is not the one that was saved."""
    path = _current(folder, name)
    if name not in manifest.files:
        raise SplatsegError(
            f"{folder / MANIFEST} lists no {name}",
            remedy="restore it or train again",
        )
    try:
        found = _sha256(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    if found != manifest.files[name]:
        raise SplatsegError(
            f"{path} is not the file that was saved (its checksum differs)",
            remedy="restore it, or train again",
        )


def _tensor(level: Level) -> str:
    """What the features of a finer level than `whole` are called in their file."""
    return f"features.{level}"


def _part_tensor(level: Level) -> str:
    """What the ids of parts are called in their file."""
    return f"labels.{level}"


def _write_labels(
    path: Path, labels: Int[Tensor, " n"], parts: Mapping[Level, Int[Tensor, " n"]], count: int
) -> None:
    tensors = {"labels": labels} | {_part_tensor(level): ids for level, ids in parts.items()}
    for tensor in tensors.values():
        _refuse_other_length(path, tensor, count)
    write_tensors(path, tensors, {})


def _read_rows(path: Path, name: str, count: int) -> Tensor:
    """The tensor `name` of a file, which has one row a Gaussian."""
    tensors, _ = read_tensors(path)
    if name not in tensors:
        raise SplatsegError(
            f"{path} has no tensor {name}",
            remedy=f"found {', '.join(tensors) or 'none'}",
        )
    _refuse_other_length(path, tensors[name], count)
    return tensors[name]


def _refuse_other_length(path: Path, tensor: Tensor, count: int) -> None:
    if tensor.shape[:1] != (count,):
        raise SplatsegError(
            f"{path} has {len(tensor)} rows for the {count} Gaussians of {PLY}",
            expected="one each",
        )
