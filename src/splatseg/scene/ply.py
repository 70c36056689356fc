"""The standard PLY of 3D Gaussian splatting, as every viewer reads it.

Binary little endian, one row of float32 a Gaussian: x y z, nx ny nz (zeros), f_dc_0..2, f_rest_*,
opacity, scale_0..2, rot_0..3. Opacity is a logit, scales are logarithms, rot is wxyz. f_rest goes
channel by channel: with k coefficients a color, f_rest_0 .. f_rest_(k-2) are red's, less the DC.

It is written strictly so. It is read with its properties in any order and of any scalar type;
other properties, and elements other than the Gaussians, are passed over. A file holds one Gaussian
at least.
"""

import os
from collections.abc import Sequence
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
from splatseg.ply_header import BYTE_ORDERS, InvalidPlyHeader, PlyElement, read_ply_header

MEANS = ("x", "y", "z")
NORMALS = ("nx", "ny", "nz")
SH_DC = ("f_dc_0", "f_dc_1", "f_dc_2")
OPACITY = ("opacity",)
LOG_SCALES = ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
SH_REST_COUNTS = (0, 9, 24, 45)  # of f_rest at SH degrees 0 to 3: 3 ((degree + 1)² - 1)

FORMAT = "binary_little_endian"
BYTE_ORDER = BYTE_ORDERS[FORMAT]


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
    """The Gaussians of a 3DGS PLY file of any program.

    Args:
        path: the file: binary little endian, with 3DGS's properties in any order.

    Returns:
        float32 on the CPU, with features of width 0.

    Raises:
        SplatsegError: it cannot be read, is no 3DGS PLY, or holds NaN, infinity or no Gaussian.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            vertex = _find_gaussians(path, file)
            rows = np.fromfile(file, vertex.dtype(BYTE_ORDER), vertex.count)
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


def _header(count: int, names: Sequence[str]) -> bytes:
    properties = [f"property float {name}" for name in names]
    lines = ["ply", f"format {FORMAT} 1.0", f"element vertex {count}", *properties, "end_header"]
    return "".join(f"{line}\n" for line in lines).encode()


def _find_gaussians(path: Path, file: BinaryIO) -> PlyElement:
    """Read the header, and leave `file` at the first Gaussian."""
    elements = _read_elements(path, file)
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise SplatsegError(f"{path} has no element vertex, which holds the Gaussians of a PLY")
    before, vertex = elements[: names.index("vertex")], elements[names.index("vertex")]
    for element in (*before, vertex):
        if element.lists:
            raise SplatsegError(
                f"{path} has a list in element {element.name}",
                expected="scalars up to the Gaussians",
            )
    _refuse_no_gaussians(path, vertex)
    start = file.tell() + sum(map(_size, before))
    found = max(0, os.fstat(file.fileno()).st_size - start)
    if found < _size(vertex):
        raise SplatsegError(
            f"{path} is cut short: {vertex.count} Gaussians take {_size(vertex)} bytes, "
            f"found {found}"
        )
    file.seek(start)
    return vertex


def _read_elements(path: Path, file: BinaryIO) -> list[PlyElement]:
    """The elements of the header; `file` is left behind it."""
    try:
        header = read_ply_header(file)
    except InvalidPlyHeader as error:
        raise SplatsegError(f"{path} {error}") from error
    if header.format != FORMAT:
        raise SplatsegError(
            f"{path} is a PLY in the format {header.format or 'none'}",
            remedy=f"only {FORMAT} is read",
        )
    return header.elements


def _size(element: PlyElement) -> int:
    """Bytes that the rows of an element take."""
    return element.count * element.dtype(BYTE_ORDER).itemsize


def _refuse_no_gaussians(path: Path, vertex: PlyElement) -> None:
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


def _sh_rest_count(vertex: PlyElement) -> int:
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
