"""One set of mask files of a capture: `masks/<name>/<frame>.json` or `.png`.

A frame is a photo's path under `images/` without its suffix, folders kept. Sizes are
(width, height), as in `Camera` and Pillow.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splatseg.errors import SplatsegError
from splatseg.masks.files import SUFFIXES, read_segments, read_size
from splatseg.masks.segments import Segments

MAX_LISTED = 5  # names that one message spells out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskSet:
    """Mask files by frame; frames without a file have no masks."""

    root: Path
    files: Mapping[str, Path]

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.root.name

    def segments(self, frame: str, photo_size: tuple[int, int]) -> Segments | None:
        """The masks of `frame` at their own size, None if it has no file.

        `photo_size` is (width, height) of the photo as shipped, which the masks may have scaled.
        """
        path = self.files.get(frame)
        if path is None:
            return None
        segments = read_segments(path)
        check_size(path, (segments.width, segments.height), photo_size)
        return segments

    def check_sizes(self, photo_sizes: Mapping[str, tuple[int, int]]) -> None:
        """Refuse masks of another shape than their frame's photo, as `segments` would.

        Only the first bytes of each file are read. What they do not tell is left to `segments`.
        """
        for frame, photo_size in photo_sizes.items():
            path = self.files.get(frame)
            size = None if path is None else read_size(path)
            if path is not None and size is not None:
                check_size(path, size, photo_size)


def open_masks(capture_root: Path, name: str | None, frames: Sequence[str]) -> MaskSet:
    """Find a mask set of a capture. No mask is read yet.

    Files of frames that the capture does not know are left out and logged as a warning; frames
    without a file are counted in the log.

    Args:
        capture_root: the folder of the capture, with `masks/`.
        name: of the set, a folder in `masks/`; None for the only one that there is.
        frames: names of the capture's frames.

    Raises:
        SplatsegError: there is no such set, or none or several where none is named; none of its
            files is of a frame; or a frame has two.
    """
    root = _choose_set(capture_root / "masks", name)
    found = _mask_files(root)
    files = {frame: found[frame] for frame in frames if frame in found}
    if not files:
        file = next((path.relative_to(root).as_posix() for path in found.values()), "none at all")
        raise SplatsegError(
            f"{root} has masks for none of the capture's {len(frames)} frames: a mask file is "
            f"{file}, a frame is {next(iter(frames), 'none at all')}",
            remedy="name the files <frame>.json or <frame>.png",
        )
    unknown = sorted(found.keys() - files.keys())
    if unknown:
        log.warning(
            "%s: %d mask files belong to no frame of the capture and are left out: %s",
            root,
            len(unknown),
            _listed(unknown),
        )
    if len(files) < len(frames):
        log.info("%s: %d of %d frames have no masks", root, len(frames) - len(files), len(frames))
    return MaskSet(root=root, files=files)


def check_size(path: Path, size: tuple[int, int], photo_size: tuple[int, int]) -> None:
    """Refuse the map in `path` unless it has the photo's proportions.

    A map made at another scale is off by less than a pixel along its shorter side: both sides are
    rounded to whole pixels.
    """
    (width, height), (photo_width, photo_height) = size, photo_size
    if abs(width * photo_height - height * photo_width) > max(photo_size):
        raise SplatsegError(
            f"{path} is {width}x{height} but its photo is {photo_width}x{photo_height}",
            remedy="make it at the photo's size or at a size with the same proportions",
        )


def _choose_set(masks_root: Path, name: str | None) -> Path:
    sets = sorted(
        folder.name
        for folder in (masks_root.iterdir() if masks_root.is_dir() else ())
        if folder.is_dir() and not folder.name.startswith(".")
    )
    if not sets:
        raise SplatsegError(
            f"{masks_root} holds no mask set: a folder with <frame>.json or <frame>.png for each "
            "photo"
        )
    if name is None and len(sets) > 1:
        raise SplatsegError(
            f"{masks_root} holds {len(sets)} mask sets ({', '.join(sets)})",
            remedy="choose one with `masks` NAME",
        )
    if name is not None and name not in sets:
        raise SplatsegError(
            f"{masks_root} has no mask set {name}",
            remedy=f"it has {', '.join(sets)}",
        )
    return masks_root / (sets[0] if name is None else name)


def _mask_files(root: Path) -> dict[str, Path]:
    """Frame to file, sorted; hidden files (temporary ones, macOS's) are no masks."""
    files: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        frame = path.relative_to(root).with_suffix("").as_posix()
        if frame in files:
            raise SplatsegError(
                f"{root} holds both {files[frame].name} and {path.name} for the frame {frame}",
                remedy="remove one",
            )
        files[frame] = path
    return files


def _listed(names: list[str]) -> str:
    more = ["…"] if len(names) > MAX_LISTED else []
    return ", ".join(names[:MAX_LISTED] + more)
