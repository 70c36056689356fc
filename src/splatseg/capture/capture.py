"""A capture: photos with cameras, a split, and points, whatever wrote them.

World coordinates are as the pose file gives them. `load_capture` reads headers only; photos are
decoded, undistorted and downscaled when asked for.
"""

import dataclasses
import difflib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from splatseg.capture.colmap import is_colmap_model, read_colmap
from splatseg.capture.frame import PHOTO_FOLDER, Frame, frame_name
from splatseg.capture.image_cache import ImageCache, undistorted
from splatseg.capture.lens import Lens
from splatseg.capture.nerfstudio import read_transforms
from splatseg.capture.photo import photo_size, read_photo, same_shape
from splatseg.capture.points import Points, near_plane, sample_points
from splatseg.capture.poses import PosedPhoto, Poses, naming
from splatseg.capture.split import SPLIT_FILE, check_split, hold_out, read_split
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera

AUTOMATIC_LONGEST_SIDE = 1000  # pixels: the CPU engine's time grows with the image's area
EXTENT_MARGIN = 1.1  # 3DGS's factor on the radius of the cameras
LONE_EXTENT = 1.0  # cameras that share one position give no scale, and nothing divides by zero
IMAGE_CACHE_BYTES = 2**30
CLOSE_MATCHES = 3

TRANSFORMS_FILE = "transforms.json"
MODEL_FOLDERS = (".", "sparse/0", "sparse")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Capture:
    """Posed photos. `points` are in world units, with one row of `colors` each, 0 to 255."""

    root: Path
    frames: tuple[Frame, ...]
    """Sorted by name."""
    points: Float64[np.ndarray, "n 3"]
    colors: UInt8[np.ndarray, "n 3"]
    skipped: tuple[str, ...]
    """A sentence for each thing that the capture lists but that was left out."""
    downscale: int
    """Photos are this many times larger than undistorted images, up to rounding."""
    _images: ImageCache = field(
        default_factory=lambda: ImageCache(IMAGE_CACHE_BYTES), init=False, repr=False
    )

    @property
    def train(self) -> tuple[Frame, ...]:
        """The frames to train on."""
        return tuple(frame for frame in self.frames if not frame.is_test)

    @property
    def test(self) -> tuple[Frame, ...]:
        """The frames held out."""
        return tuple(frame for frame in self.frames if frame.is_test)

    @property
    def extent(self) -> float:
        """The scene's extent as 3DGS has it: 1.1 times the radius of the training cameras."""
        return _extent([frame.camera for frame in self.train])

    def frame(self, name: str) -> Frame:
        """The frame of that name."""
        frames = {frame.name: frame for frame in self.frames}
        if name not in frames:
            close = difflib.get_close_matches(name, frames, n=CLOSE_MATCHES) or [min(frames)]
            raise SplatsegError(
                f"{self.root} has no frame {name}",
                expected=f"a frame such as {', '.join(close)}",
            )
        return frames[name]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The photo as the frame's camera sees it, RGB. Copy it before writing into it.

        It is planar in memory (channel, row, column), as the engine reads images.
        """
        key = (frame.name, frame.camera.width, frame.camera.height)
        planar = self._images.get(key, lambda: self._make_image(frame).transpose(2, 0, 1))
        return planar.transpose(1, 2, 0)

    def _make_image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        if not frame.lens.is_pinhole:
            return undistorted(self.root, frame)
        shrunk = _shrunk_photo(self.root, frame.photo, frame.lens, self.downscale)
        pixels = read_photo(
            shrunk or self.root / frame.photo, like=(frame.lens.width, frame.lens.height)
        )
        return frame.lens.warp_to_undistorted(pixels, frame.camera, nearest=False)


def load_capture(
    root: Path | str, *, downscale: int | None = None, poses: Path | None = None
) -> Capture:
    """Read the capture in `root`: poses, lenses, points and the split. No photo is decoded yet.

    Args:
        root: the folder of the capture, with `images/` and the poses.
        downscale: by how much photos are shrunk, a whole number of at least 1. By default the
            smallest one that brings the longest side of every photo to 1000 pixels.
        poses: a COLMAP model or a transforms.json to use in place of the capture's own. Of these,
            COLMAP's `sparse/` wins over `transforms.json`.

    Returns:
        The capture, with its frames in order of name. Frames that are left out are in `skipped`.

    Raises:
        SplatsegError: there is no such folder, it has no poses or no frame with a photo, or a file
            in it is damaged.
    """
    root = Path(root)
    if not root.is_dir():
        raise SplatsegError(
            f"{root} is not a folder",
            expected="a capture: photos with their poses",
        )
    if downscale is not None and downscale < 1:
        raise SplatsegError(
            f"the downscale factor is {downscale}",
            expected="a whole number from 1",
        )
    posed = _read_poses(root if poses is None else poses, root)
    photos = _fit_lenses(_by_name(posed, root), root, posed.source)
    names = list(photos)
    split = read_split(root / SPLIT_FILE) or posed.split or hold_out(names)
    check_split(split, names)
    if downscale is None:
        downscale = _automatic_downscale([photo.lens for photo in photos.values()])
    frames = tuple(
        _frame(name, photo, name in split.test, root, downscale, posed.source)
        for name, photo in photos.items()
        if name in split.train | split.test
    )
    unsplit = [name for name in names if name not in split.train | split.test]
    skipped = posed.skipped
    if unsplit:
        skipped += (
            f"{split.source} names {len(unsplit)} of the frames (first: {unsplit[0]}) neither for "
            "training nor for testing; they are left out",
        )
    for sentence in skipped:
        logger.warning("%s", sentence)
    points = posed.points.finite()
    if len(points.xyz) == 0:
        points = _sampled_points(frames)
    else:
        frames = tuple(_with_near_plane(frame, points) for frame in frames)
    return Capture(root, frames, points.xyz, points.rgb, skipped, downscale)


def _read_poses(place: Path, root: Path) -> Poses:
    """The poses in a file or folder."""
    if place.is_file() and place.suffix == ".json":
        return read_transforms(place, root)
    models = [place / folder for folder in MODEL_FOLDERS if is_colmap_model(place / folder)]
    transforms = place / TRANSFORMS_FILE
    if models:
        if transforms.is_file():
            logger.info("poses come from %s; %s is not used", models[0], transforms)
        return read_colmap(models[0], root)
    if transforms.is_file():
        return read_transforms(transforms, root)
    raise SplatsegError(
        f"{place} holds no camera poses",
        expected=f"a COLMAP model in sparse/0 or nerfstudio's {TRANSFORMS_FILE}",
    )


def _by_name(posed: Poses, root: Path) -> dict[str, PosedPhoto]:
    """The photos by frame name, sorted."""
    if not posed.photos:
        found = posed.skipped[0] if posed.skipped else f"{posed.source} lists no photo"
        raise SplatsegError(
            f"{root} has no frame to work with: {found}",
            expected=f"the photos that {posed.source} lists, under {root / PHOTO_FOLDER}",
        )
    photos: dict[str, PosedPhoto] = {}
    for photo in sorted(posed.photos, key=lambda photo: frame_name(photo.photo)):
        twin = photos.setdefault(frame_name(photo.photo), photo)
        if twin is not photo:
            raise SplatsegError(
                f"{posed.source} lists {twin.photo} and {photo.photo}, both of which would be the "
                f"frame {frame_name(photo.photo)}",
                remedy="remove or rename one",
            )
    return photos


def _fit_lenses(photos: dict[str, PosedPhoto], root: Path, source: str) -> dict[str, PosedPhoto]:
    """The photos with lenses for the size they are shipped in, if `source` has another size."""
    fitted = {name: _fit_lens(name, photo, root, source) for name, photo in photos.items()}
    changed = [name for name in photos if fitted[name].lens != photos[name].lens]
    if changed:
        before, after = photos[changed[0]].lens, fitted[changed[0]].lens
        logger.info(
            "%s gives cameras for photos of another size (%dx%d, but %s is %dx%d): the intrinsics "
            "of %d frames are scaled",
            source, before.width, before.height, changed[0], after.width, after.height,
            len(changed),
        )  # fmt: skip
    return fitted


def _fit_lens(name: str, posed: PosedPhoto, root: Path, source: str) -> PosedPhoto:
    expected = (posed.lens.width, posed.lens.height)
    found = photo_size(root / posed.photo, like=expected)
    if not same_shape(found, expected):
        raise SplatsegError(
            f"frame {name}: {posed.photo} is {found[0]}x{found[1]} but {source} gives its camera "
            f"as {expected[0]}x{expected[1]}",
            expected="the photos that the poses were made from, or all of them scaled",
        )
    if found == expected:
        return posed
    return dataclasses.replace(posed, lens=posed.lens.resized(*found))


def _automatic_downscale(lenses: Sequence[Lens]) -> int:
    longest = max(max(lens.width, lens.height) for lens in lenses)
    factor = math.ceil(longest / AUTOMATIC_LONGEST_SIDE)
    if factor > 1:
        logger.info(
            "photos are up to %d pixels wide or high; working at 1/%d, so that training is quick "
            "on a CPU (a downscale of 1 keeps the full size)",
            longest, factor,
        )  # fmt: skip
    return factor


def _frame(
    name: str, posed: PosedPhoto, is_test: bool, root: Path, downscale: int, source: str
) -> Frame:
    size = _undistorted_size(root, posed.photo, posed.lens, downscale)
    with naming(f"{source}, frame {name}"):
        camera = posed.lens.undistorted_camera(posed.cam_from_world, *size)
    return Frame(name, posed.photo, camera, posed.lens, is_test)


def _undistorted_size(root: Path, photo: str, lens: Lens, downscale: int) -> tuple[int, int]:
    size = (lens.width, lens.height)
    shrunk = _shrunk_photo(root, photo, lens, downscale)
    if shrunk is None:
        return max(1, round(size[0] / downscale)), max(1, round(size[1] / downscale))
    found = photo_size(shrunk, like=size)
    if not same_shape(found, size):
        raise SplatsegError(
            f"{shrunk} is {found[0]}x{found[1]} but its photo is {size[0]}x{size[1]}",
            expected=f"the photo at 1/{downscale}: make the folder again or remove it",
        )
    return found


def _shrunk_photo(root: Path, photo: str, lens: Lens, downscale: int) -> Path | None:
    """The photo in `images_2` or the like; only photos without distortion are taken from there."""
    below = PurePosixPath(photo)
    if downscale == 1 or not lens.is_pinhole or below.parts[0] != PHOTO_FOLDER:
        return None
    path = root / f"{PHOTO_FOLDER}_{downscale}" / below.relative_to(PHOTO_FOLDER)
    return path if path.is_file() else None


def _with_near_plane(frame: Frame, points: Points) -> Frame:
    camera = dataclasses.replace(frame.camera, near=near_plane(frame.camera, points.xyz))
    return dataclasses.replace(frame, camera=camera)


def _sampled_points(frames: Sequence[Frame]) -> Points:
    cameras = [frame.camera for frame in frames if not frame.is_test]
    points = sample_points(cameras, _extent(cameras))
    logger.info("the capture has no points; %d are sampled where its cameras look", len(points.xyz))
    return points


def _extent(cameras: Sequence[Camera]) -> float:
    positions = torch.stack([camera.position for camera in cameras])
    radius = (positions - positions.mean(dim=0)).norm(dim=1).max().item()
    return EXTENT_MARGIN * radius if radius > 0 else LONE_EXTENT
