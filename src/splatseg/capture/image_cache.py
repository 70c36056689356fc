"""Images that are costly to make, kept in memory up to a limit and undistorted ones on disk.

In memory, a large image has pages of its own. On the heap, images that stay are scattered among the
temporary arrays of those that are made, and the process grows to several times what it keeps.

On disk, `.splatseg/undistorted/<key>/<frame>.png` under the capture: the key stands for the lens
and the undistorted camera's intrinsics, and a file older than its photo is made again.
"""

import hashlib
import json
import logging
import mmap
import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from splatseg.capture.frame import Frame
from splatseg.capture.photo import read_photo

UNDISTORTED_FOLDER = Path(".splatseg", "undistorted")
OWN_PAGES_FROM = 2**18  # bytes: 1 GiB of images is then 4096 mappings at most; Linux has 65530
PNG_COMPRESSION = 1  # zlib's fastest: these files are read more often than space matters

logger = logging.getLogger(__name__)


class ImageCache:
    """The most recently used images, together at most `max_bytes` large (but at least one)."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._bytes = 0
        self._images: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = Lock()  # the viewer and the trainer may share a capture

    @property
    def bytes(self) -> int:
        """What is kept now."""
        return self._bytes

    def get(
        self, key: Hashable, make: Callable[[], Shaped[np.ndarray, "..."]]
    ) -> Shaped[np.ndarray, "..."]:
        """The image under `key`, made and copied if it is not here; contiguous in memory.

        Threads may make the same one twice.
        """
        with self._lock:
            if key in self._images:
                self._images.move_to_end(key)
                return self._images[key]
        image = _kept(make())
        with self._lock:
            replaced = self._images.pop(key, None)
            self._bytes += image.nbytes - (0 if replaced is None else replaced.nbytes)
            self._images[key] = image
            while len(self._images) > 1 and self._bytes > self.max_bytes:
                self._bytes -= self._images.popitem(last=False)[1].nbytes
        return image


def _kept(image: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """A contiguous copy, on pages of its own if it is large."""
    if image.nbytes < OWN_PAGES_FROM:
        return image.copy(order="C")
    pages = mmap.mmap(-1, image.nbytes)  # unmapped together with the last array that shows it
    kept = np.frombuffer(pages, dtype=image.dtype).reshape(image.shape)
    kept[...] = image
    return kept


def undistorted(root: Path, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
    """The frame's photo as its undistorted camera sees it, from disk if it was made before."""
    photo = root / frame.photo
    stored = root / UNDISTORTED_FOLDER / _key(frame) / f"{frame.name}.png"
    size = (frame.camera.width, frame.camera.height)
    if stored.is_file() and stored.stat().st_mtime_ns >= photo.stat().st_mtime_ns:
        return read_photo(stored, like=size)
    pixels = read_photo(photo, like=(frame.lens.width, frame.lens.height))
    image = frame.lens.warp_to_undistorted(pixels, frame.camera, nearest=False)
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
