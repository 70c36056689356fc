"""Masks that other tools made: recognized by their files, matched to photos, read one by one."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from splatseg.errors import SplatsegError
from splatseg.masks.formats.coco import COCO, COCO_PANOPTIC
from splatseg.masks.formats.garfield import GARFIELD
from splatseg.masks.formats.label_map import LABEL_MAP
from splatseg.masks.formats.mask_import import Format, MaskImport
from splatseg.masks.formats.matching import Photo
from splatseg.masks.formats.omniseg3d import OMNISEG3D
from splatseg.masks.formats.saga import SAGA
from splatseg.masks.formats.sam import SAM
from splatseg.masks.formats.source import contents

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "label-map": LABEL_MAP,
        "sam": SAM,
        "saga": SAGA,
        "omniseg3d": OMNISEG3D,
        "garfield": GARFIELD,
        "coco": COCO,
        "coco-panoptic": COCO_PANOPTIC,
    }
)

# Where the tools put masks in their data folders, beside photos that would pass for label maps.
_TOOLS_FOLDERS = ("seg_masks", "object_mask", "sam_masks", "sam")


def recognize(source: Path) -> str:
    """The name of the format that a file or folder is in."""
    _check_place(source)
    fitting = [name for name in FORMATS if name != "label-map" and FORMATS[name].fits(source)]
    # PNGs lie beside the masks of other formats, as photos or previews: they count only alone.
    if not fitting and LABEL_MAP.fits(source):
        fitting = ["label-map"]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SplatsegError(
            f"{source} holds masks of several formats ({', '.join(fitting)})",
            remedy="name the one to read or a folder with one of them only",
        )
    known = "; ".join(f"{name}: {form.description}" for name, form in FORMATS.items())
    raise SplatsegError(
        f"{source} holds {contents(source)}, masks of no known format",
        expected=f"one of {known}",
    )


def read_masks(source: Path, frames: Mapping[str, Photo], format: str | None = None) -> MaskImport:
    """The masks that another tool made, by frame.

    Nothing is decoded before the result is iterated over. Masks without a photo are logged.

    Args:
        source: the file or folder with the masks.
        frames: by frame, the photo and its size in pixels.
        format: a key of `FORMATS`; by default the one that the files are in.

    Returns:
        Frames and their segments, read one at a time while it is iterated over.

    Raises:
        SplatsegError: `source` does not exist, is of no known format or of several, or no mask in
            it belongs to a photo. While it is iterated over: a file is damaged, or its masks have
            not the photo's proportions.
    """
    name = recognize(source) if format is None else format
    if name not in FORMATS:
        raise SplatsegError(
            f"there is no mask format {name}",
            remedy=f"there are {', '.join(FORMATS)}",
        )
    _check_place(source)
    return MaskImport(source, name, FORMATS[name].open(source, frames), frames)


def _check_place(source: Path) -> None:
    if not source.exists():
        raise SplatsegError(f"{source} does not exist")
    inside = [name for name in _TOOLS_FOLDERS if (source / name).is_dir()]
    if inside:
        raise SplatsegError(
            f"{source} holds more than masks",
            remedy=f"name the folder of the masks, such as {source / inside[0]}",
        )


__all__ = ["FORMATS", "Format", "MaskImport", "Photo", "read_masks", "recognize"]
