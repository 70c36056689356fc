"""Which mask files of a set splatseg made itself, and with what: so that a run can go on.

A provenance is a flat dict, the model and its settings. It is in every file. A set holds masks of
one provenance, and what another program made is never written over.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.masks.files import EXPECTED_JSON, PROVENANCE, SUFFIXES, parse_sa1b

Provenance = Mapping[str, Any]


class OtherProgramsMasks(SplatsegError):
    """A set holds a mask file that splatseg did not make."""


class MadeFile(NamedTuple):
    """A mask file that is not another program's."""

    path: Path
    provenance: Provenance | None
    """None for a file that is broken, whoever made it."""
    masks: int


def provenance_files(folder: Path) -> dict[str, MadeFile]:
    """The mask files of a set by frame; none where there is no such folder.

    Hidden files are passed over.

    Raises:
        OtherProgramsMasks: a whole file in the set was made by another program, or imported.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
    return {
        path.relative_to(folder).with_suffix("").as_posix(): _made_file(path, folder)
        for path in paths
        if not path.name.startswith(".")
    }


def finished(files: Mapping[str, MadeFile], provenance: Provenance, folder: Path) -> dict[str, int]:
    """The number of masks by frame, for the whole files; refuses those of another provenance."""
    whole = {frame: file for frame, file in files.items() if file.provenance is not None}
    for file in whole.values():
        found = file.provenance or {}
        for name in [*provenance, *found]:
            if found.get(name) != provenance.get(name):
                raise SplatsegError(
                    f"{folder} holds masks made with other settings ({name} was "
                    f"{found.get(name)}, now "
                    f"{provenance.get(name)})",
                    remedy=(
                        "pass the same settings, `restart` to make them again, or another `name`"
                    ),
                )
    return {frame: file.masks for frame, file in whole.items()}


def _made_file(path: Path, folder: Path) -> MadeFile:
    if path.suffix.lower() != ".json":
        raise _foreign(path, folder)
    try:
        data = read_json(path, EXPECTED_JSON)
    except SplatsegError:
        return MadeFile(path, None, 0)
    provenance = data.get(PROVENANCE) if isinstance(data, dict) else None
    if not isinstance(provenance, dict):
        raise _foreign(path, folder)
    try:
        return MadeFile(path, provenance, len(parse_sa1b(data)))
    except (ValueError, OverflowError):
        return MadeFile(path, None, 0)


def _foreign(path: Path, folder: Path) -> OtherProgramsMasks:
    return OtherProgramsMasks(
        f"{folder} holds {path.relative_to(folder).as_posix()}, which splatseg did not make",
        remedy="give the new masks a set of their own with `name`",
    )
