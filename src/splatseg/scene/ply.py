"""The standard PLY of 3D Gaussian splatting, as every viewer reads it.

Binary little endian, one row of float32 a Gaussian: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_*,
opacity, scale_0..2, rot_0..3. Opacity is a logit, scales are logarithms, rot is wxyz. f_rest goes
channel by channel: with k coefficients a color, f_rest_0 .. f_rest_(k-2) are red's, less the DC.

It is written strictly so. It is read with its properties in any order and of any scalar type;
other properties, and elements other than the Gaussians, are passed over. A file holds one Gaussian
at least.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.lib.recfunctions import structured_to_unstructured
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.files import cannot_read, replacing_file
from splatseg.geometry.gaussians import Gaussians

MEANS = ("x", "y", "z")
NORMALS = ("nx", "ny", "nz")
SH_DC = ("f_dc_0", "f_dc_1", "f_dc_2")
OPACITY = ("opacity",)
LOG_SCALES = ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
SH_REST_COUNTS = (0, 9, 24, 45)  # of f_rest at SH degrees 0 to 3: 3 ((degree + 1)² - 1)

FORMAT = "binary_little_endian"
MAX_HEADER_LINE = 4096  # bytes: a file that is no PLY may hold no end of line for gigabytes
SCALAR_TYPES = {
    **{"char": "<i1", "int8": "<i1", "uchar": "<u1", "uint8": "<u1"},
    **{"short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2"},
    **{"int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4"},
    **{"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
}
LIST_TYPE = "O"  # of a property with a list in each row: such rows have no one size


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians`, less their features, whole or not at all.

    Refuses what `read_ply` would: no Gaussian, NaN or infinity, a quaternion of length 0.
    """
    _refuse_poison(path, gaussians)
    rest = gaussians.sh[:, 1:].transpose(1, 2).flatten(1)
    columns = {
        MEANS: gaussians.means,
        NORMALS: torch.zeros_like(gaussians.means),
        SH_DC: gaussians.sh[:, 0],
        _sh_rest(rest.shape[1]): rest,
        OPACITY: gaussians.logit_opacities[:, None],
        LOG_SCALES: gaussians.log_scales,
        QUATS: gaussians.quats,
    }
    rows = torch.cat(list(columns.values()), dim=1).detach().to("cpu", torch.float32)
    header = _header(len(rows), [name for names in columns for name in names])
    with (
        replacing_file(path, len(header) + rows.nbytes) as temporary,
        open(temporary, "wb") as file,
    ):
        file.write(header)
        file.write(rows.numpy().astype("<f4", copy=False).data)


def read_ply(path: Path | str) -> Gaussians:
    """The Gaussians of a 3DGS PLY, float32 on the CPU, with features of width 0."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            vertex = _find_gaussians(path, file)
            rows = np.fromfile(file, vertex.dtype, vertex.count)
    except OSError as error:
        raise cannot_read(path, error) from error
    dc = _columns(rows, SH_DC)
    rest = _columns(rows, _sh_rest(_sh_rest_count(vertex)))
    sh = torch.cat([dc[:, :, None], rest.reshape(len(rows), 3, rest.shape[1] // 3)], dim=2)
    gaussians = Gaussians(
        means=_columns(rows, MEANS),
        quats=_columns(rows, QUATS),
        log_scales=_columns(rows, LOG_SCALES),
        logit_opacities=_columns(rows, OPACITY)[:, 0],
        sh=sh.transpose(1, 2).contiguous(),
        features=torch.zeros(len(rows), 0),
    )
    _refuse_poison(path, gaussians)
    return gaussians


@dataclass(frozen=True)
class _Element:
    """One element of a PLY header: its name, rows, and properties with their numpy types."""

    name: str
    count: int
    properties: dict[str, str]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(list(self.properties.items()))

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize


def _header(count: int, names: Sequence[str]) -> bytes:
    properties = [f"property float {name}" for name in names]
    lines = ["ply", f"format {FORMAT} 1.0", f"element vertex {count}", *properties, "end_header"]
    return "".join(f"{line}\n" for line in lines).encode()


def _find_gaussians(path: Path, file: BinaryIO) -> _Element:
    """Read the header, and leave `file` at the first Gaussian."""
    elements = _read_header(path, file)
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise SplatsegError(f"{path} has no element vertex, which holds the Gaussians of a PLY")
    before, vertex = elements[: names.index("vertex")], elements[names.index("vertex")]
    for element in (*before, vertex):
        if LIST_TYPE in element.properties.values():
            raise SplatsegError(
                f"{path} has a list in element {element.name}",
                expected="scalars up to the Gaussians",
            )
    _refuse_no_gaussians(path, vertex)
    start = file.tell() + sum(element.size for element in before)
    found = max(0, os.fstat(file.fileno()).st_size - start)
    if found < vertex.size:
        raise SplatsegError(
            f"{path} is cut short: {vertex.count} Gaussians take {vertex.size} bytes, found {found}"
        )
    file.seek(start)
    return vertex


def _read_header(path: Path, file: BinaryIO) -> list[_Element]:
    """The elements of the header; `file` is left behind it."""
    if file.readline(MAX_HEADER_LINE).rstrip() != b"ply":
        raise SplatsegError(f"{path} is not a PLY file: its first line is not 'ply'")
    elements: list[_Element] = []
    for number, line in enumerate(_header_lines(path, file), start=2):
        match line.split():
            case ["comment" | "obj_info", *_]:
                pass
            case ["format", kind, *_] if kind != FORMAT:
                raise SplatsegError(
                    f"{path} is a PLY in the format {kind}",
                    remedy=f"only {FORMAT} is read",
                )
            case ["format", _, "1.0"]:
                pass
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count), {}))
            case ["property", "list", _, _, name] if elements:
                elements[-1].properties[name] = LIST_TYPE
            case ["property", kind, name] if (
                elements and kind in SCALAR_TYPES and name not in elements[-1].properties
            ):
                elements[-1].properties[name] = SCALAR_TYPES[kind]
            case _:
                raise SplatsegError(
                    f"{path} is not a sound PLY: line {number} of its header is {line.strip()!r}"
                )
    return elements


def _header_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """The lines between `ply` and `end_header`."""
    while (line := file.readline(MAX_HEADER_LINE)).strip() != b"end_header":
        if not line.endswith(b"\n"):
            raise SplatsegError(f"{path} is cut short or not a PLY: its header has no end_header")
        yield line.decode("latin-1")


def _refuse_no_gaussians(path: Path, vertex: _Element) -> None:
    """Refuse an element that is not a set of Gaussians, or an empty one."""
    required = (*MEANS, *SH_DC, *OPACITY, *LOG_SCALES, *QUATS)
    rest = _sh_rest(_sh_rest_count(vertex))
    missing = [name for name in (*required, *rest) if name not in vertex.properties]
    if missing:
        raise SplatsegError(
            f"{path} has no property {missing[0]}, as a 3D Gaussian splatting PLY has",
            remedy=f"found {', '.join(vertex.properties) or 'none'}",
        )
    if len(rest) not in SH_REST_COUNTS:
        raise SplatsegError(
            f"{path} has {len(rest)} properties f_rest",
            expected="0, 9, 24 or 45 (SH degree 0 to 3)",
        )
    if vertex.count == 0:
        raise SplatsegError(
            f"{path} holds no Gaussian",
            expected="at least one",
        )


def _sh_rest_count(vertex: _Element) -> int:
    return sum(name.startswith("f_rest_") for name in vertex.properties)


def _sh_rest(count: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{i}" for i in range(count))


def _columns(rows: np.ndarray, names: tuple[str, ...]) -> Float[Tensor, "n c"]:
    """The fields `names` of structured `rows`, as float32 columns."""
    if not names:
        return torch.zeros(len(rows), 0)
    with np.errstate(over="ignore"):  # a double too large becomes infinity, and is refused as such
        columns = structured_to_unstructured(rows[list(names)], np.float32)
    return torch.from_numpy(np.ascontiguousarray(columns))


def _refuse_poison(path: Path, gaussians: Gaussians) -> None:
    """Refuse values that would spread through a render, and a set without a Gaussian."""
    if len(gaussians) == 0:
        raise SplatsegError(
            f"there is no Gaussian to write to {path}",
            expected="at least one",
        )
    for name, values in gaussians.tensors().items():
        sound = torch.isfinite(values).unsqueeze(-1).flatten(1).all(dim=1)
        _refuse_rows(path, f"NaN or infinity in {name}", ~sound)
    _refuse_rows(path, "a quaternion of length 0", ~gaussians.quats.any(dim=1))


def _refuse_rows(path: Path, what: str, bad: Bool[Tensor, " n"]) -> None:
    if bad.any():
        raise SplatsegError(
            f"{path}: {int(bad.sum())} of {len(bad)} Gaussians have {what}, the first at row "
            f"{int(bad.nonzero()[0])} (from 0)",
            remedy="remove them",
        )
