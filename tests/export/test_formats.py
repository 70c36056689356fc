"""The registry of formats, and how a file's suffix tells one."""

from pathlib import Path
from typing import get_args

import pytest

from splatseg.errors import SplatsegError
from splatseg.export.config import ExportFormat
from splatseg.export.formats import FORMATS, resolve_format


@pytest.mark.parametrize("format", get_args(ExportFormat))
def test_a_format_fits_its_own_suffixes(format):
    assert tuple(FORMATS) == get_args(ExportFormat)
    for suffix in FORMATS[format].suffixes or (".ply",):
        assert resolve_format(Path(f"some.thing{suffix.upper()}"), format) == format


@pytest.mark.parametrize(
    ("names", "formats"),
    [
        ("a.ply a.compressed.ply a.json a.npz", "ply compressed-ply boxes ids"),
        ("a.obj a.mp4", "mesh video"),
    ],
)
def test_the_suffix_tells_the_format(names, formats):
    assert [resolve_format(Path(name), None) for name in names.split()] == formats.split()


@pytest.mark.parametrize(
    ("name", "format", "sentence"),
    [
        ("a.fbx", None, r"no suffix that tells a format; expected one of \.c"),
        ("a.compressed.ply", "ply", r"does not end with \.ply, as .* leave `format` out"),
        *(
            ("a.fbx", name, f"does not end with .* the format {name} does")
            for name in FORMATS
            if FORMATS[name].suffixes
        ),
    ],
)
def test_suffixes_that_tell_nothing_or_something_else_are_refused(name, format, sentence):
    with pytest.raises(SplatsegError, match=sentence):
        resolve_format(Path(name), format)
