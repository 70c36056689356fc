"""The registry of formats, and how a file's suffix tells one."""

from pathlib import Path
from typing import get_args

import pytest

from splatseg.errors import SplatsegError
from splatseg.export.config import ExportFormat
from splatseg.export.formats import FORMATS, resolve_format


def test_every_format_has_a_name_that_can_be_asked_for() -> None:
    assert tuple(FORMATS) == get_args(ExportFormat)


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_fits_its_own_suffixes_and_no_others(format: ExportFormat) -> None:
    for suffix in FORMATS[format].suffixes:
        assert resolve_format(Path(f"some.thing{suffix.upper()}"), format) == format
    if FORMATS[format].suffixes:
        with pytest.raises(SplatsegError, match=f"does not end with .* the format {format} does"):
            resolve_format(Path("out.fbx"), format)
    else:
        assert resolve_format(Path("folder.ply"), format) == format


@pytest.mark.parametrize(
    ("name", "format"),
    {
        "a.ply": "ply",
        "a.compressed.ply": "compressed-ply",
        "a.json": "boxes",
        "a.npz": "ids",
        "a.obj": "mesh",
        "a.mp4": "video",
    }.items(),
)
def test_the_suffix_tells_the_format(name: str, format: ExportFormat) -> None:
    assert resolve_format(Path(name), None) == format


def test_suffixes_that_tell_nothing_or_something_else_are_refused() -> None:
    with pytest.raises(SplatsegError, match=r"no suffix that tells a format; expected one of \.c"):
        resolve_format(Path("a.fbx"), None)
    with pytest.raises(SplatsegError, match=r"does not end with \.ply, as .* leave `format` out"):
        resolve_format(Path("a.compressed.ply"), "ply")
