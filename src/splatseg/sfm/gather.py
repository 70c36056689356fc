"""A folder of photos, brought into a capture's `images/`.

Photos are named by their path under `images/`, with forward slashes, in natural order (`img2`
before `img10`). A copy carries the modification time of its original: one with another time is
made again.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from splatseg.capture.frame import PHOTO_FOLDER, frame_name
from splatseg.capture.photo import (
    HEIC_SUFFIXES,
    UnreadablePhoto,
    can_read_heic,
    check_photo,
    is_plain,
    write_plain,
)
from splatseg.errors import SplatsegError
from splatseg.files import replacing_file
from splatseg.progress import SILENT, Progress

LOSSLESS_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})
CONVERTED_SUFFIXES = HEIC_SUFFIXES | {".webp"}  # pycolmap cannot read them
PHOTO_SUFFIXES = LOSSLESS_SUFFIXES | CONVERTED_SUFFIXES | {".jpg", ".jpeg"}
STAGE = "reading photos"
MIN_PHOTOS = 3  # from two views a wrong match cannot be told from a right one


def default_capture(source: Path) -> Path:
    """The capture folder for photos or a video when none is named.

    A folder with `images/` is a capture itself, `images/` belongs to the folder it is in, and
    anything else gets a folder beside it.
    """
    source = source.absolute()
    if (source / PHOTO_FOLDER).is_dir():
        return source
    if source.is_dir() and source.name == PHOTO_FOLDER:
        return source.parent
    return source.with_name(f"{source.stem if source.is_file() else source.name}-capture")


def is_in_place(source: Path, root: Path) -> bool:
    """Whether the photos of `source` are the capture's own, so that nothing is copied."""
    return _photo_folder(source, root).resolve().is_relative_to((root / PHOTO_FOLDER).resolve())


def find_photos(source: Path, root: Path) -> list[Path]:
    """The photo files under `source` by their suffix, in natural order.

    Hidden files and folders are passed over, and so is the capture `root` if it lies in `source`.
    """
    folder = _photo_folder(source, root)
    if not folder.is_dir():
        raise SplatsegError(
            f"{folder} does not exist",
            expected="a folder of photos or a video",
        )
    if folder.resolve() == root.resolve():
        raise SplatsegError(
            f"{folder} is to be the capture but has no {PHOTO_FOLDER} folder",
            remedy=f"move the photos to {root / PHOTO_FOLDER} or name another folder with `output`",
        )
    passed_over = None if is_in_place(source, root) else root.resolve()
    found = []
    for path in folder.rglob("*"):
        below = path.relative_to(folder)
        if below.suffix.lower() not in PHOTO_SUFFIXES or not path.is_file():
            continue
        if any(part.startswith(".") for part in below.parts):
            continue
        if passed_over is None or not path.resolve().is_relative_to(passed_over):
            found.append(path)
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def gather(
    source: Path, root: Path, found: Sequence[Path], progress: Progress = SILENT
) -> tuple[str, ...]:
    """Bring what `find_photos` found into `images/`: the photos' names.

    Plain photos are copied as they are; of others, upright 8-bit RGB versions are made. Files that
    cannot be read are left out, with a note.

    Raises:
        SplatsegError: two photos would be the same frame, fewer than three can be read, or a
            format cannot be read here.
    """
    in_place = is_in_place(source, root)
    folder = root / PHOTO_FOLDER if in_place else _photo_folder(source, root)
    _check_formats(found, folder, in_place)
    names: dict[str, str] = {}
    unreadable = []
    for done, path in enumerate(found):
        progress.update(STAGE, done, len(found))
        try:
            names[_checked(path, folder) if in_place else _copied(path, folder, root)] = path.name
        except UnreadablePhoto as error:
            progress.note(f"{error}; it is left out")
            unreadable.append(path)
    progress.update(STAGE, len(found), len(found))
    if len(names) < MIN_PHOTOS:
        broken = f" and {len(unreadable)} that cannot be read" if unreadable else ""
        raise SplatsegError(
            f"{source} has {len(names)} photos{broken}",
            expected=(
                f"at least {MIN_PHOTOS}, taken from different places, as JPEG, PNG, TIFF, "
                "BMP, WebP or HEIC"
            ),
        )
    return tuple(names)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts names as people do, with the numbers in them by value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _photo_folder(source: Path, root: Path) -> Path:
    """Where the photos of `source` are: a capture keeps its own in `images/`."""
    own = root / PHOTO_FOLDER
    return own if source.resolve() == root.resolve() and own.is_dir() else source


def _check_formats(found: Sequence[Path], folder: Path, in_place: bool) -> None:
    """Refuse what is not about one photo: formats that need another library, and name clashes."""
    heic = [path for path in found if path.suffix.lower() in HEIC_SUFFIXES]
    if heic and not can_read_heic():
        raise SplatsegError(
            f"{heic[0]} is one of {len(heic)} HEIC photos, and reading them needs pillow-heif",
            remedy="pip install pillow-heif, or export the photos as JPEG",
        )
    unfit = [path for path in found if path.suffix.lower() in CONVERTED_SUFFIXES]
    if in_place and unfit:
        raise SplatsegError(
            f"{unfit[0]} must be converted, which is not done in a capture's own {PHOTO_FOLDER}",
            remedy="move the photos to another folder and pass that",
        )
    frames: dict[str, Path] = {}
    for path in found:
        frame = frame_name(path.relative_to(folder).as_posix())
        other = frames.setdefault(frame, path)
        if other is not path:
            raise SplatsegError(
                f"{other} and {path.name} would both be the frame {frame}",
                remedy="remove or rename one",
            )


def _checked(path: Path, folder: Path) -> str:
    check_photo(path)
    return path.relative_to(folder).as_posix()


def _copied(path: Path, folder: Path, root: Path) -> str:
    """The name of the photo in `images/`, where it is put unless it is there."""
    plain, lossless = is_plain(path), path.suffix.lower() in LOSSLESS_SUFFIXES
    name = path.relative_to(folder)
    if not plain:
        name = name.with_suffix(".png" if lossless else ".jpg")
    target, stat = root / PHOTO_FOLDER / name, path.stat()
    if target.is_file() and target.stat().st_mtime_ns == stat.st_mtime_ns:
        return name.as_posix()
    check_photo(path)
    with replacing_file(target, stat.st_size) as temporary:
        if plain:
            shutil.copyfile(path, temporary)
        else:
            write_plain(path, temporary, lossless)
        os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return name.as_posix()
