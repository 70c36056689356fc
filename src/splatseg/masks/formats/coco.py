"""COCO's JSON for a whole set of images: instances, and panoptic segmentations.

Instances: `images` with `id`, `file_name`, `width`, `height`, and `annotations` with `image_id` and
`segmentation`, which is a list of polygons, or run lengths in text or numbers. COCO, CVAT (in
`annotations/instances_default.json`) and Label Studio (`result.json`) write it. Every annotation is
a mask; categories are passed over.

Panoptic: an annotation an image, with `file_name`, a PNG whose R + 256 G + 256² B is a segment's
id, and `segments_info`, which lists the ids. The PNGs lie in a folder with the JSON's name, beside
it or one level up, or in the JSON's own.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.masks import rle
from splatseg.masks.files import EXPECTED_JSON, field, parse_qualities, parse_rle, read_ids
from splatseg.masks.formats.mask_import import Format, check_count
from splatseg.masks.formats.matching import Entry, Photo, match
from splatseg.masks.formats.source import JsonKind, json_kind
from splatseg.masks.segments import Segments

JSON_FOLDERS = (".", "annotations")


def _files(source: Path, kind: JsonKind) -> list[Path]:
    if source.is_file():
        places = [source]
    else:
        places = [path for folder in JSON_FOLDERS for path in sorted((source / folder).glob("*"))]
    files = [path for path in places if path.suffix.lower() == ".json" and path.is_file()]
    return [path for path in files if json_kind(path) == kind]


def _only_file(source: Path, kind: JsonKind) -> Path:
    files = _files(source, kind)
    if len(files) != 1:
        found = ", ".join(str(path.relative_to(source)) for path in files) or "none"
        raise SplatsegError(
            f"{source} should hold one JSON of the kind {kind}, found {found}",
            remedy="name the file",
        )
    return files[0]


def _fits(kind: JsonKind, source: Path) -> bool:
    return bool(_files(source, kind))


def _parse(path: Path) -> tuple[dict[int | str, dict[str, Any]], list[dict[str, Any]]]:
    """Images by id, and annotations; both of objects whose image exists."""
    data = read_json(path, EXPECTED_JSON)
    try:
        images = {}
        for image in field(data, "images", list):
            field(image, "file_name", str)
            if images.setdefault(field(image, "id", (int, str)), image) is not image:
                raise ValueError(f"two of its images have the id {image['id']}")
        annotations = field(data, "annotations", list)
        for number, annotation in enumerate(annotations, start=1):
            if field(annotation, "image_id", (int, str)) not in images:
                raise ValueError(
                    f"annotation {number} is of image {annotation['image_id']}, which is not listed"
                )
    except ValueError as error:
        raise SplatsegError(f"{path} is not COCO's: {error}") from error
    return images, annotations


def _open_instances(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    path = _only_file(source, "coco")
    images, annotations = _parse(path)
    by_image: dict[int | str, list[dict[str, Any]]] = {}
    for annotation in annotations:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    entries = [
        Entry(name, place, partial(_read_instances, place, images[image_id], of_image))
        for image_id, of_image in by_image.items()
        for name in [images[image_id]["file_name"]]
        for place in [f"{path} ({name})"]
    ]
    return match(path, entries, photos)


def _read_instances(
    place: str,
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    photo_size: tuple[int, int],
) -> Segments:
    check_count(place, len(annotations))
    try:
        width, height = field(image, "width", int), field(image, "height", int)
        if width < 1 or height < 1:
            raise ValueError(f"its image is {width}x{height}")
        return Segments(
            height=height,
            width=width,
            rles=tuple(_parse_mask(annotation, height, width) for annotation in annotations),
            predicted_iou=parse_qualities(annotations, "predicted_iou"),
            stability_score=parse_qualities(annotations, "stability_score"),
        )
    except (ValueError, OverflowError) as error:
        raise SplatsegError(f"{place} has masks that cannot be used: {error}") from error


def _parse_mask(annotation: dict[str, Any], height: int, width: int) -> bytes:
    try:
        segmentation = annotation.get("segmentation")
        if not segmentation:
            raise ValueError(
                "it has no segmentation, at most a box, which is no mask: draw its outline or "
                "remove it"
            )
        if isinstance(segmentation, list):
            return rle.from_polygons(segmentation, height, width)
        return parse_rle(field(annotation, "segmentation", dict), height, width)
    except ValueError as error:
        raise ValueError(f"annotation {annotation.get('id', 'without id')}: {error}") from error


def _open_panoptic(source: Path, photos: Mapping[str, Photo]) -> Mapping[str, Entry]:
    path = _only_file(source, "coco-panoptic")
    images, annotations = _parse(path)
    try:
        listed = [(field(a, "file_name", str), _parse_ids(a)) for a in annotations]
    except ValueError as error:
        raise SplatsegError(f"{path} is not COCO's panoptic JSON: {error}") from error
    folder = _png_folder(path, [name for name, _ in listed])
    entries = [
        Entry(
            images[annotation["image_id"]]["file_name"],
            str(folder / name),
            partial(_read_panoptic, folder / name, ids),
        )
        for annotation, (name, ids) in zip(annotations, listed, strict=True)
    ]
    return match(path, entries, photos)


def _parse_ids(annotation: dict[str, Any]) -> list[int]:
    return [field(segment, "id", int) for segment in field(annotation, "segments_info", list)]


def _png_folder(path: Path, names: Sequence[str]) -> Path:
    """The folder that holds the first of the PNGs that a JSON names."""
    folders = [path.with_suffix(""), path.parent, path.parent.parent / path.stem]
    found = [folder for folder in folders if any((folder / name).is_file() for name in names[:1])]
    if not found:
        raise SplatsegError(
            f"{path} names {(names[0] if names else 'no PNG')}, which is in none of "
            f"{', '.join(map(str, folders))}",
            remedy="put the PNGs into the first",
        )
    return found[0]


def _read_panoptic(path: Path, listed: list[int], photo_size: tuple[int, int]) -> Segments:
    check_count(str(path), len(listed))
    ids = read_ids(path)
    missing = sorted(set(listed) - set(np.unique(ids).tolist()))
    if missing:
        raise SplatsegError(
            f"{path} has no pixel of segment {missing[0]} ({len(missing)} of {len(listed)} listed "
            "in its JSON are missing)",
            remedy="the two do not belong together",
        )
    unknown = np.full(len(listed), np.nan)
    height, width = ids.shape
    rles = tuple(rle.encode(ids == segment) for segment in listed)
    return Segments(height, width, rles, unknown, unknown)


COCO = Format("COCO instances JSON (CVAT, Label Studio)", partial(_fits, "coco"), _open_instances)
COCO_PANOPTIC = Format(
    "COCO panoptic JSON and PNGs", partial(_fits, "coco-panoptic"), _open_panoptic
)
