"""Images that are costly to make, kept in memory up to a limit and undistorted ones on disk.

On disk, `.splatseg/undistorted/<key>/<frame>.png` under the capture: the key stands for the lens
and the working camera's intrinsics, and a file older than its photo is made again.
"""

import hashlib
import json
import logging
import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from splatseg.capture.frame import Frame
from splatseg.capture.photo import read_photo

UNDISTORTED_FOLDER = Path(".splatseg", "undistorted")
PNG_COMPRESSION = 1  # zlib's fastest: these files are read more often than space matters

logger = logging.getLogger(__name__)


class ImageCache:
    """The most recently used images, together at most `max_bytes` large (but at least one)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[Hashable, UInt8[np.ndarray, "h w 3"]] = OrderedDict()
        self._lock = Lock()  # the viewer and the trainer may share a capture

    def get(
        self, key: Hashable, make: Callable[[], UInt8[np.ndarray, "h w 3"]]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The image under `key`, made if it is not here. Threads may make the same one twice."""
        with self._lock:
            if key in self._images:
                self._images.move_to_end(key)
                return self._images[key]
        image = make()
        with self._lock:
            self._images[key] = image
            while len(self._images) > 1 and self._size() > self._max_bytes:
                self._images.popitem(last=False)
        return image

    def _size(self) -> int:
        return sum(image.nbytes for image in self._images.values())


def undistorted(root: Path, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
    """The frame's photo as its working camera sees it, from disk if it was made before."""
    photo = root / frame.photo
    stored = root / UNDISTORTED_FOLDER / _key(frame) / f"{frame.name}.png"
    size = (frame.camera.width, frame.camera.height)
    if stored.is_file() and stored.stat().st_mtime_ns >= photo.stat().st_mtime_ns:
        return read_photo(stored, like=size)
    pixels = read_photo(photo, like=(frame.lens.width, frame.lens.height))
    image = frame.lens.warp_to_working(pixels, frame.camera, nearest=False)
    try:
        _write_png(stored, image)
    except OSError as error:
        _warn_not_stored(root, str(error))
    return image


def _key(frame: Frame) -> str:
    size = [frame.camera.width, frame.camera.height]
    text = json.dumps([frame.lens.to_json(), size], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_png(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Under a temporary name first, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        Image.fromarray(image).save(partial, format="PNG", compress_level=PNG_COMPRESSION)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@cache
def _warn_not_stored(root: Path, reason: str) -> None:
    """Once for each capture and reason."""
    logger.warning(
        "undistorted photos cannot be kept in %s (%s); they are made anew each time",
        root / UNDISTORTED_FOLDER, reason,
    )  # fmt: skip
