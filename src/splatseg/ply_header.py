"""The header of a PLY file: what it holds, element by element, before the rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

MAX_HEADER_LINE = 4096  # bytes: a file that is no PLY may hold no end of line for gigabytes
ASCII = "ascii"
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
"""Of the binary formats, as numpy spells them."""
SCALAR_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


class InvalidPlyHeader(ValueError):
    """A header that cannot be read. Its text says what the file is, with the verb first."""


@dataclass
class PlyElement:
    """One element: its name, number of rows, and properties with their types as the file has them.

    The type of a list is `list COUNT_TYPE ITEM_TYPE`: rows with a list have no one size.
    """

    name: str
    count: int
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def lists(self) -> list[str]:
        """The names of the properties that are lists."""
        return [name for name, kind in self.properties.items() if kind not in SCALAR_TYPES]

    def dtype(self, byte_order: str) -> np.dtype:
        """The type of a row without lists; `byte_order` is numpy's `<`, `>` or `=`."""
        return np.dtype(
            [(name, byte_order + SCALAR_TYPES[kind]) for name, kind in self.properties.items()]
        )


@dataclass
class PlyHeader:
    """The format, "" where the header names none, and the elements in the order of the file."""

    format: str = ""
    elements: list[PlyElement] = field(default_factory=list)


def read_ply_header(file: BinaryIO) -> PlyHeader:
    """Read a header and leave `file` at the first row.

    Raises:
        InvalidPlyHeader: the file is no PLY, or its header is cut short or malformed.
    """
    if file.readline(MAX_HEADER_LINE).rstrip() != b"ply":
        raise InvalidPlyHeader("is not a PLY file: its first line is not 'ply'")
    header = PlyHeader()
    for number, line in enumerate(_lines(file), start=2):
        if not _read_line(line, header):
            raise InvalidPlyHeader(
                f"is not a sound PLY: line {number} of its header is {line.strip()!r}"
            )
    return header


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines between `ply` and `end_header`."""
    while (line := file.readline(MAX_HEADER_LINE)).strip() != b"end_header":
        if not line.endswith(b"\n"):
            raise InvalidPlyHeader("is cut short or not a PLY: its header has no end_header")
        yield line.decode("latin-1")


def _read_line(line: str, header: PlyHeader) -> bool:
    """Add to `header` what a line says; whether it is a line that a PLY may have."""
    properties = header.elements[-1].properties if header.elements else None
    match line.split():
        case ["comment" | "obj_info", *_]:
            pass
        case ["format", name, "1.0"]:
            header.format = name
        case ["element", name, count] if count.isdecimal():
            header.elements.append(PlyElement(name, int(count)))
        case ["property", *kind, name] if (
            properties is not None and name not in properties and _is_type(kind)
        ):
            properties[name] = " ".join(kind)
        case _:
            return False
    return True


def _is_type(words: list[str]) -> bool:
    return (len(words) == 3 and words[0] == "list") or (
        len(words) == 1 and words[0] in SCALAR_TYPES
    )
