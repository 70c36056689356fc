"""COLMAP sparse models, text and binary.

The files are read here rather than by pycolmap, which reads on forever in a truncated
`points3D.bin` and takes what a truncated `cameras.bin` lacks from uninitialized memory. Here every
record must be complete, and a binary file must end with its last one. The 2D observations, most of
a large model, are skipped. Format: https://colmap.github.io/format.html
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pycolmap
import torch
from jaxtyping import Float64
from torch import Tensor

from splatseg.capture.frame import PHOTO_FOLDER
from splatseg.capture.lens import Lens, parameter_names
from splatseg.capture.points import NO_POINTS, Points
from splatseg.capture.poses import PosedPhoto, Poses, missing_photo, naming, photo_path
from splatseg.errors import SplatsegError

OBSERVATION_BYTES = 24  # x, y and the point's id
TRACK_ELEMENT_BYTES = 8  # image id and the index of the observation

T = TypeVar("T")


class _Image(NamedTuple):
    name: str
    camera_id: int
    quat: tuple[float, ...]
    """wxyz, and with `translation` it is cam_from_world."""
    translation: tuple[float, ...]


def is_colmap_model(folder: Path) -> bool:
    """Whether the folder holds at least the cameras of a COLMAP model."""
    return _find(folder, "cameras") is not None


def read_colmap(folder: Path, root: Path) -> Poses:
    """The model in `folder`, for the photos in `root`'s `images/`."""
    lenses = _read(folder, "cameras", _binary_cameras, _text_cameras)
    images = _read(folder, "images", _binary_images, _text_images)
    points = NO_POINTS
    if _find(folder, "points3D") is not None:
        points = _read(folder, "points3D", _binary_points, _text_points)
    source = (folder.relative_to(root) if folder.is_relative_to(root) else folder).as_posix()
    photos, skipped = [], []
    for image in images:
        with naming(f"{folder}, frame {image.name}"):
            photo = photo_path(f"{PHOTO_FOLDER}/{image.name}")
            if image.camera_id not in lenses:
                raise SplatsegError(
                    f"it was taken by camera {image.camera_id}, which the model does not have",
                    remedy="export the COLMAP model again",
                )
            posed = PosedPhoto(photo, lenses[image.camera_id], _cam_from_world(image))
        if (root / photo).is_file():
            photos.append(posed)
        else:
            skipped.append(missing_photo(photo, source))
    return Poses(source, tuple(photos), points, tuple(skipped))


def _cam_from_world(image: _Image) -> Float64[Tensor, "4 4"]:
    quat = np.array(image.quat)
    length = np.linalg.norm(quat)
    if not length > 0:
        raise SplatsegError(
            f"its rotation is the quaternion {image.quat}",
            expected="one of length 1",
        )
    pose = np.eye(4)
    # pycolmap's order is xyzw.
    pose[:3, :3] = pycolmap.Rotation3d(np.roll(quat / length, -1)).matrix()
    pose[:3, 3] = image.translation
    return torch.from_numpy(pose)


def _find(folder: Path, stem: str) -> Path | None:
    """The model's file of that kind; binary first, as COLMAP does."""
    paths = (folder / f"{stem}{suffix}" for suffix in (".bin", ".txt"))
    return next((path for path in paths if path.is_file()), None)


def _read(
    folder: Path, stem: str, from_binary: Callable[[bytes], T], from_text: Callable[[str], T]
) -> T:
    path = _find(folder, stem)
    if path is None:
        raise SplatsegError(
            f"{folder} has no {stem}.bin or {stem}.txt",
            expected="a COLMAP model with cameras, images and points3D",
        )
    try:
        with naming(str(path)):
            data = path.read_bytes()
            return from_binary(data) if path.suffix == ".bin" else from_text(data.decode())
    except (struct.error, OverflowError, ValueError) as error:
        raise SplatsegError(
            f"{path} is damaged ({error})",
            remedy="export the COLMAP model again",
        ) from error


class _Records:
    """A cursor over the little-endian records of a binary file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, layout: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.offset)
        self.offset += struct.calcsize("<" + layout)
        return values

    def count(self) -> int:
        return int(self.take("Q")[0])

    def text(self) -> str:
        end = self.data.index(b"\0", self.offset)
        text = self.data[self.offset : end].decode()
        self.offset = end + 1
        return text

    def skip(self, size: int) -> None:
        self.offset += size

    def finish(self) -> None:
        if self.offset != len(self.data):
            raise ValueError(
                f"its records take {self.offset} bytes but the file has {len(self.data)}"
            )


def _binary_cameras(data: bytes) -> dict[int, Lens]:
    names = {int(model): name for name, model in pycolmap.CameraModelId.__members__.items()}
    records, lenses = _Records(data), {}
    for _ in range(records.count()):
        camera_id, model_id, width, height = map(int, records.take("IiQQ"))
        model = names.get(model_id, f"number {model_id}")
        params = records.take(f"{len(parameter_names(model))}d")
        lenses[camera_id] = Lens(model, width, height, params)
    records.finish()
    return lenses


def _binary_images(data: bytes) -> list[_Image]:
    records, images = _Records(data), []
    for _ in range(records.count()):
        _, *pose, camera_id = records.take("I7dI")
        images.append(_Image(records.text(), int(camera_id), tuple(pose[:4]), tuple(pose[4:])))
        records.skip(OBSERVATION_BYTES * records.count())
    records.finish()
    return images


def _binary_points(data: bytes) -> Points:
    records, rows = _Records(data), []
    for _ in range(records.count()):
        _, *xyz_rgb, _, track_length = records.take("Q3d3BdQ")
        rows.append(xyz_rgb)
        records.skip(TRACK_ELEMENT_BYTES * int(track_length))
    records.finish()
    return _points(rows)


def _text_cameras(text: str) -> dict[int, Lens]:
    lenses = {}
    for line in _lines(text):
        camera_id, model, width, height, *params = line.split()
        lenses[int(camera_id)] = Lens(model, int(width), int(height), tuple(map(float, params)))
    return lenses


def _text_images(text: str) -> list[_Image]:
    images = []
    lines = iter(text.split("\n"))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        _, qw, qx, qy, qz, tx, ty, tz, camera_id, name = line.split(maxsplit=9)
        quat = (float(qw), float(qx), float(qy), float(qz))
        translation = (float(tx), float(ty), float(tz))
        images.append(_Image(name.strip(), int(camera_id), quat, translation))
        next(lines, None)  # the observations, which may be an empty line
    return images


def _text_points(text: str) -> Points:
    return _points([[float(value) for value in line.split()[1:7]] for line in _lines(text)])


def _lines(text: str) -> list[str]:
    """The lines that are neither empty nor a comment."""
    return [line for line in text.split("\n") if line.strip() and not line.startswith("#")]


def _points(rows: list[list[int | float]]) -> Points:
    """From rows of x, y, z, red, green, blue."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 6)
    return Points(table[:, :3], table[:, 3:].astype(np.uint8))
