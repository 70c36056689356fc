"""Gaussians as files that viewers read: standard PLY, compressed PLY, SPZ, SOG and .splat.

The PLY is written here and is exact. The others are written by gaussforge, from a PLY that is
prepared for what the format, or gaussforge, expects:

- SPZ has y up and z backward where a PLY has y down and z forward. gaussforge does not convert.
- A compressed PLY stores spherical harmonics channel by channel. gaussforge 0.6 reads them so, but
  writes them coefficient by coefficient.

The errors of each format: docs/formats.md.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from splatseg.errors import SplatsegError
from splatseg.files import write_bytes
from splatseg.geometry.gaussians import Gaussians
from splatseg.geometry.spherical_harmonics import sh_basis
from splatseg.scene import write_ply

SPZ_REACH = 2048.0  # world units: 24 bits, 12 of them behind the point; what is beyond wraps
HALF_TURN = (1.0, -1.0, -1.0)  # about x
GENERIC = (0.3, 0.5, 0.7)  # a direction at which no spherical harmonic is 0


def write_splats(path: Path | str, gaussians: Gaussians) -> None:
    """Write Gaussians, less their features, in the format that the suffix of `path` names.

    Args:
        path: ends with .ply, .compressed.ply, .spz, .sog or .splat.
        gaussians: at least one.

    Raises:
        SplatsegError: an unknown suffix, no Gaussian, values that the format cannot hold, or
            gaussforge is not installed.
    """
    path = Path(path)
    suffix = splat_suffix(path)
    if len(gaussians) == 0:
        raise SplatsegError(
            f"there is no Gaussian to write to {path}",
            expected="at least one",
        )
    if suffix == ".ply":
        write_ply(path, gaussians)
    else:
        write_bytes(path, _converted(path, gaussians, suffix))


def splat_suffix(path: Path) -> str:
    """The suffix of SUFFIXES that `path` ends with.

    Raises:
        SplatsegError: it ends with none of them.
    """
    # The longest first: .compressed.ply is a .ply too.
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    raise SplatsegError(
        f"{path} has no suffix of a splat format",
        expected=f"one of {', '.join(SUFFIXES)}",
    )


def _converted(path: Path, gaussians: Gaussians, suffix: str) -> bytes:
    """The contents of a file that gaussforge writes."""
    try:
        from gaussforge import GaussForge
    except ImportError as error:
        raise SplatsegError(
            f"writing {path} needs gaussforge: pip install 'splatseg[formats]'"
        ) from error
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)  # SOG clips others
    prepared = _PREPARED[suffix](path, replace(gaussians, quats=unit))
    with TemporaryDirectory() as folder:
        plain = Path(folder) / f"{path.name}.ply"
        write_ply(plain, prepared)
        answer = GaussForge().convert(plain.read_bytes(), "ply", suffix.removeprefix("."))
    if "error" in answer:
        raise SplatsegError(f"gaussforge cannot write {path}: {answer['error']}")
    return answer["data"]


def _as_it_is(path: Path, gaussians: Gaussians) -> Gaussians:
    return gaussians


def _for_compressed_ply(path: Path, gaussians: Gaussians) -> Gaussians:
    """With the harmonics permuted so that gaussforge writes them channel by channel."""
    rest = gaussians.sh[:, 1:]
    shuffled = rest.transpose(1, 2).reshape(rest.shape)
    return replace(gaussians, sh=torch.cat([gaussians.sh[:, :1], shuffled], dim=1))


def _for_spz(path: Path, gaussians: Gaussians) -> Gaussians:
    """Rotated by half a turn about x. It only changes signs, so it is exact."""
    farthest = float(gaussians.means.abs().max())
    if farthest >= SPZ_REACH:
        raise SplatsegError(
            f"{path} cannot hold a Gaussian at coordinate {farthest:.6g}: SPZ reaches "
            f"{SPZ_REACH:.0f}",
            remedy="write another format, or only an object near the origin",
        )
    turn = gaussians.means.new_tensor(HALF_TURN)
    direction = gaussians.means.new_tensor([GENERIC])
    degree = gaussians.sh_degree
    signs = (sh_basis(direction * turn, degree) * sh_basis(direction, degree)).sign()[0]
    return replace(
        gaussians,
        means=gaussians.means * turn,
        quats=gaussians.quats * turn.new_tensor([1.0, *HALF_TURN]),
        sh=gaussians.sh * signs[:, None],
    )


_PREPARED: dict[str, Callable[[Path, Gaussians], Gaussians]] = {
    ".compressed.ply": _for_compressed_ply,
    ".spz": _for_spz,
    ".sog": _as_it_is,
    ".splat": _as_it_is,
}
SUFFIXES = (".ply", *_PREPARED)
"""Of the formats that `write_splats` knows."""
