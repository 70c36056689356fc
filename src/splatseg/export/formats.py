"""The export formats. A new one is a writer in a file of its own, an entry here, and its name in
config.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from splatseg.errors import SplatsegError
from splatseg.export.boxes import boxes_around, boxes_of, write_boxes
from splatseg.export.config import ExportFormat
from splatseg.export.ids import write_ids, write_ids_ply
from splatseg.export.masks import (
    ViewMasks,
    write_binary_masks,
    write_coco,
    write_label_maps,
    write_sa1b,
)
from splatseg.export.mesh import object_mesh, write_mesh
from splatseg.export.request import ExportRequest
from splatseg.export.splats import write_splats
from splatseg.export.video import Picture, write_video
from splatseg.progress import Progress


@dataclass(frozen=True)
class Format:
    """What all formats have."""

    suffixes: tuple[str, ...]
    """How its files may end, lower case; none if it is a folder."""
    purpose: str
    """Half a sentence: what the file is for, or what is in it."""


@dataclass(frozen=True)
class GaussianFormat(Format):
    """A file of Gaussians, or of what is computed from them alone."""

    write: Callable[[Path, ExportRequest, Progress], None]
    per_object: bool = True
    """Whether objects can have a file each; otherwise a file tells them apart."""
    needs_object: bool = False
    """Whether a whole scene cannot be written."""


@dataclass(frozen=True)
class MaskFormat(Format):
    """Masks, view by view, with the names of their ids."""

    write: Callable[[Path, Iterable[ViewMasks], Mapping[int, str]], None]


@dataclass(frozen=True)
class VideoFormat(Format):
    """Pictures of one size in turn; the writer returns how many there are."""

    write: Callable[[Path, Iterable[Picture]], int]


def _splats(path: Path, request: ExportRequest, progress: Progress) -> None:
    write_splats(path, request.gaussians)


def _ids(path: Path, request: ExportRequest, progress: Progress) -> None:
    write_ids(path, request.known_labels(), request.parts)


def _ids_ply(path: Path, request: ExportRequest, progress: Progress) -> None:
    write_ids_ply(path, request.gaussians, request.known_labels())


def _boxes(path: Path, request: ExportRequest, progress: Progress) -> None:
    if request.is_selection:
        write_boxes(path, [boxes_around(request.gaussians)])
    else:
        write_boxes(path, boxes_of(request.gaussians, request.known_labels(), request.kinds()))


def _mesh(path: Path, request: ExportRequest, progress: Progress) -> None:
    write_mesh(path, object_mesh(request.gaussians, request.cameras, progress=progress))


def _label_maps(path: Path, views: Iterable[ViewMasks], names: Mapping[int, str]) -> None:
    write_label_maps(path, views)


def _sa1b(path: Path, views: Iterable[ViewMasks], names: Mapping[int, str]) -> None:
    write_sa1b(path, views)


MASK_IDS = "ids as splatseg cluster lists them, or picks from 1 in the order given"

FORMATS: dict[ExportFormat, Format] = {
    "ply": GaussianFormat((".ply",), "for any 3DGS viewer, exact", _splats),
    "compressed-ply": GaussianFormat(
        (".compressed.ply",), "for PlayCanvas and SuperSplat", _splats
    ),
    "spz": GaussianFormat((".spz",), "small; y up, as SPZ has it", _splats),
    "sog": GaussianFormat((".sog",), "small, for the web", _splats),
    "splat": GaussianFormat((".splat",), "for older web viewers", _splats),
    "ids": GaussianFormat((".npz",), "the object of each Gaussian, a row each", _ids, False),
    "ids-ply": GaussianFormat((".ply",), "objects in colors, for any 3DGS viewer", _ids_ply, False),
    "boxes": GaussianFormat((".json",), "two boxes for each object", _boxes, False),
    "mesh": GaussianFormat(
        (".glb", ".obj", ".stl", ".ply"), "the object's surface", _mesh, needs_object=True
    ),
    "masks": MaskFormat((), MASK_IDS, write_binary_masks),
    "label-maps": MaskFormat((), MASK_IDS, _label_maps),
    "coco": MaskFormat((".json",), MASK_IDS, write_coco),
    "sa1b": MaskFormat((), MASK_IDS, _sa1b),
    "video": VideoFormat((".mp4",), "30 views a second", write_video),
}
"""By name. The first of those that share a suffix is the one that the suffix tells."""


def resolve_format(output: Path, format: ExportFormat | None) -> ExportFormat:
    """The format that is asked for, or that the suffix of `output` tells.

    Raises:
        SplatsegError: the suffix tells none, or is not one of the format's.
    """
    if format is not None and not FORMATS[format].suffixes:
        return format
    suffixes = {suffix for kind in FORMATS.values() for suffix in kind.suffixes}
    found = [suffix for suffix in suffixes if output.name.lower().endswith(suffix)]
    suffix = max(found, key=len, default=None)  # .compressed.ply is a .ply too
    fitting: list[ExportFormat] = [
        name for name, kind in FORMATS.items() if suffix in kind.suffixes
    ]
    chosen = format or next(iter(fitting), None)
    if chosen is None:
        raise SplatsegError(
            f"{output} has no suffix that tells a format",
            expected=f"one of {', '.join(sorted(suffixes))}",
        )
    if chosen not in fitting:
        raise SplatsegError(
            f"{output} does not end with {' or '.join(FORMATS[chosen].suffixes)}, as a file of "
            f"the format {chosen} does",
            remedy="rename it or leave `format` out",
        )
    return chosen
