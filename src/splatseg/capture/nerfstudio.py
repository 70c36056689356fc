"""nerfstudio's `transforms.json`, as nerfstudio, Polycam and instant-ngp write it.

`transform_matrix` is world_from_cam with OpenGL's camera axes: x right, y up, z backward. Values
beside `frames` hold for every frame that does not give its own.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from splatseg.capture.frame import frame_name
from splatseg.capture.lens import PERSPECTIVE_MODELS, Lens
from splatseg.capture.photo import photo_size
from splatseg.capture.points import NO_POINTS, read_ply
from splatseg.capture.poses import PosedPhoto, Poses, missing_photo, naming, photo_path
from splatseg.capture.split import Split
from splatseg.errors import SplatsegError
from splatseg.files import read_json

OPENCV_AND_OPENGL = np.diag([1.0, -1.0, -1.0])  # turns the camera axes of one into the other's

FISHEYE_DISTORTION = ("k1", "k2", "k3", "k4")
OPENCV_DISTORTION = ("k1", "k2", "p1", "p2")
HIGHER_DISTORTION = ("k3", "k4", "k5", "k6")

# The synthetic scenes of NeRF list photos without a suffix.
PHOTO_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")


def read_transforms(path: Path, root: Path) -> Poses:
    """The frames that `path` lists, with photos relative to `root`."""
    data = _load(path)
    photos, skipped = [], []
    for index, entry in enumerate(data["frames"]):
        values = data | entry
        listed = values.get("file_path")
        with naming(f"{path}, frame {listed or index}"):
            photo = _find_photo(listed, root)
            if photo is None:
                skipped.append(missing_photo(str(listed), path.name))
                continue
            lens = _lens(values, root / photo)
            photos.append(PosedPhoto(photo, lens, _cam_from_world(values)))
    points = NO_POINTS
    ply = data.get("ply_file_path")
    if isinstance(ply, str):
        if (path.parent / ply).is_file():
            points = read_ply(path.parent / ply)
        else:
            skipped.append(f"{path.name} names {ply} for its points, which is not in the capture")
    return Poses(path.name, tuple(photos), points, tuple(skipped), _split(data, path.name, photos))


def _load(path: Path) -> dict[str, Any]:
    data = read_json(path, "nerfstudio's transforms.json")
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not all(isinstance(entry, dict) for entry in frames):
        raise SplatsegError(
            f"{path} has no list `frames`",
            expected="nerfstudio's transforms.json",
        )
    return data


def _find_photo(listed: Any, root: Path) -> str | None:
    if not isinstance(listed, str):
        raise SplatsegError(
            "it has no file_path",
            expected="the photo's path",
        )
    candidates = (photo_path(listed + suffix) for suffix in PHOTO_SUFFIXES)
    return next((photo for photo in candidates if (root / photo).is_file()), None)


def _cam_from_world(values: dict[str, Any]) -> Float64[Tensor, "4 4"]:
    try:
        world_from_cam = np.array(values["transform_matrix"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        world_from_cam = np.zeros(0)
    if world_from_cam.shape not in {(4, 4), (3, 4)}:
        raise SplatsegError(
            "it has no transform_matrix of 4 x 4 numbers",
            expected="world_from_cam",
        )
    rotation = OPENCV_AND_OPENGL @ world_from_cam[:3, :3].T
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -rotation @ world_from_cam[:3, 3]
    return torch.from_numpy(pose)


def _lens(values: dict[str, Any], photo: Path) -> Lens:
    if "w" in values and "h" in values:
        width, height = int(_number(values, "w")), int(_number(values, "h"))
    else:
        width, height = photo_size(photo)
    fx = _focal(values, "x", width)
    if fx is None:
        raise SplatsegError(
            "it has no focal length",
            expected="fl_x or camera_angle_x",
        )
    fy = _focal(values, "y", height)
    cx, cy = _number(values, "cx", width / 2), _number(values, "cy", height / 2)
    model, distortion = _distortion(values)
    return Lens(model, width, height, (fx, fx if fy is None else fy, cx, cy, *distortion))


def _focal(values: dict[str, Any], axis: str, side: int) -> float | None:
    """The focal length along an axis in pixels, from itself or from the field of view."""
    if f"fl_{axis}" in values:
        return _number(values, f"fl_{axis}")
    if f"camera_angle_{axis}" not in values:
        return None
    angle = _number(values, f"camera_angle_{axis}")
    if not 0 < angle < math.pi:
        raise SplatsegError(
            f"its camera_angle_{axis} is {angle}",
            expected="radians in (0, pi)",
        )
    return side / 2 / math.tan(angle / 2)


def _distortion(values: dict[str, Any]) -> tuple[str, tuple[float, ...]]:
    """The smallest of COLMAP's models that holds the distortion, and its coefficients."""
    model = values.get("camera_model", "OPENCV")
    if values.get("is_fisheye"):  # instant-ngp's way to say so
        model = "OPENCV_FISHEYE"
    if model == "OPENCV_FISHEYE":
        return model, tuple(_number(values, key, 0.0) for key in FISHEYE_DISTORTION)
    if model not in PERSPECTIVE_MODELS:
        raise SplatsegError(
            f"its camera_model is {model}",
            expected="OPENCV, OPENCV_FISHEYE, PINHOLE or another perspective model of COLMAP's",
            remedy="undistort the photos first",
        )
    lower = tuple(_number(values, key, 0.0) for key in OPENCV_DISTORTION)
    higher = tuple(_number(values, key, 0.0) for key in HIGHER_DISTORTION)
    if any(higher):
        return "FULL_OPENCV", lower + higher
    return ("OPENCV", lower) if any(lower) else ("PINHOLE", ())


def _number(values: dict[str, Any], key: str, default: float | None = None) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SplatsegError(
            f"its {key} is {value!r}",
            expected="a finite number",
        )
    return float(value)


def _split(data: dict[str, Any], source: str, photos: list[PosedPhoto]) -> Split | None:
    """nerfstudio's own split; validation frames are test frames: nothing is tuned on them.

    Without `train_filenames`, every frame that is not held out is trained on.
    """
    if not any(f"{kind}_filenames" in data for kind in ("train", "val", "test")):
        return None
    test = _filenames(data, "val", source) | _filenames(data, "test", source)
    train = _filenames(data, "train", source) or {frame_name(posed.photo) for posed in photos}
    return Split(frozenset(train - test), frozenset(test), source)


def _filenames(data: dict[str, Any], kind: str, source: str) -> set[str]:
    names = data.get(f"{kind}_filenames", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SplatsegError(f"{source}: {kind}_filenames is not a list of photo paths")
    return {frame_name(photo_path(name)) for name in names}
