"""What a pose file says, whoever wrote it: posed photos, points, and perhaps a split.

The readers, `colmap.py` and `nerfstudio.py`, return `Poses`. Photos are named by their path
relative to the capture, with forward slashes.
"""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath

from jaxtyping import Float64
from torch import Tensor

from splatseg.capture.lens import Lens
from splatseg.capture.points import Points
from splatseg.capture.split import Split
from splatseg.errors import SplatsegError


@dataclass(frozen=True)
class PosedPhoto:
    """A photo that exists, with the lens and the pose that the pose file gives."""

    photo: str
    lens: Lens
    cam_from_world: Float64[Tensor, "4 4"]


@dataclass(frozen=True)
class Poses:
    """The content of a pose file."""

    source: str
    """What messages call it: `sparse/0`, `transforms.json`."""
    photos: tuple[PosedPhoto, ...]
    points: Points
    skipped: tuple[str, ...]
    """A sentence for each thing that was listed but is not there."""
    split: Split | None = None


def photo_path(text: str) -> str:
    """A listed path as the capture's own: normalized, and refused if it leads outside."""
    path = posixpath.normpath(text.replace("\\", "/"))
    if path.startswith(("/", "../")) or PureWindowsPath(path).drive:
        raise SplatsegError(
            f"the photo {text} lies outside the capture",
            expected="a path relative to the capture",
        )
    return path


def missing_photo(photo: str, source: str) -> str:
    """The sentence for a photo that `source` lists but the capture does not hold."""
    return f"{source} lists {photo}, which is not in the capture; the frame is skipped"


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Put the file and frame in front of an error that does not know them."""
    try:
        yield
    except SplatsegError as error:
        raise SplatsegError(f"{place}: {error}") from error
