"""Files that are whole or absent: written under a temporary name, then renamed into place.

A write that fails leaves what was there before, and no rubbish beside it. A process that is killed
may leave a hidden `.NAME.new`, which the next write of NAME replaces, and never half a result under
the real name. One process at a time may write a path.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from splatseg.errors import SplatsegError


@contextmanager
def replacing_file(path: Path, size: int) -> Iterator[Path]:
    """Yield a temporary path to write; on success the file there takes the place of `path`.

    The folder of `path` is made if need be. The temporary name has another suffix, so that what a
    kill leaves is not taken for a result; name the format to a library that goes by suffixes.
    `size` is how many bytes the file will take, for the message if there is no room.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error, size) from error
    finally:
        with suppress(OSError):  # it was renamed, or never made
            temporary.unlink()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder to fill; on success it takes the place of the folder `path`.

    The old folder steps aside to `.NAME.old` between the two renames and comes back if the second
    fails; if the process is killed just there, the next call brings it back first.
    """
    temporary, old = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
    if path.exists() and not path.is_dir():
        raise SplatsegError(
            f"{path} is a file",
            expected="a folder, or nothing, in its place",
        )
    try:
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _sync_tree(temporary)
        _swap(temporary, path, old)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing_file(path, len(data)) as temporary:
        temporary.write_bytes(data)


def read_json(path: Path, expected: str) -> Any:
    """What a JSON file holds; `expected` says what that should be, for the messages.

    Raises:
        SplatsegError: there is no such file, it cannot be read, or it is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SplatsegError(f"{path} does not exist", expected=expected) from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, RecursionError) as error:  # malformed, not UTF-8, or nested too deep
        raise SplatsegError(
            f"{path} is not valid JSON ({error})",
            expected=expected,
            remedy="it may be half written: restore it or make it again",
        ) from error


def cannot_read(path: Path, error: OSError) -> SplatsegError:
    """The sentence for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return SplatsegError(f"{path} does not exist")
    return SplatsegError(f"cannot read {path}: {error.strerror or error}")


def cannot_write(path: Path, error: Exception, size: int | None = None) -> SplatsegError:
    """The sentence for a file or folder that cannot be written."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    room = f"{_megabytes(shutil.disk_usage(folder).free)} free"
    needs = room if size is None else f"{_megabytes(size)} needed, {room}"
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return SplatsegError(
        f"cannot write {path} ({needs}): {reason}",
        remedy="what was there is unchanged",
    )


def _sync_tree(folder: Path) -> None:
    """Put every file under `folder`, and the folders' own entries, on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync_folder(Path(root))


def _sync_folder(folder: Path) -> None:
    """Put the entries of `folder` on the disk, so that a rename in it survives a power cut."""
    with suppress(OSError):  # Windows and some network disks cannot; the files themselves are safe
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _swap(new: Path, path: Path, old: Path) -> None:
    """Rename `new` to `path`; what was at `path` goes to `old` and is then deleted."""
    shutil.rmtree(old, ignore_errors=True)
    if not path.exists():
        os.replace(new, path)
        return
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"
