"""Masks of the photo 0001 as other tools leave them: a writer for each format.

Each writes `masks` [n, h, w] under a folder and gives the file with them, or the first one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image

from splatseg.masks import Segments, rle, write_label_map, write_segments

SAM_HEADER = (
    "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
    "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"
)
QUALITIES = [(0.91, 0.97), (1.02, 0.95), (0.88, 0.99)]


def put(path: Path, content: Any) -> Path:
    """Write text, bytes, or anything else as JSON, and make the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def label_map(root: Path, masks: np.ndarray, name: str = "cam0/0001.png") -> Path:
    write_label_map(root / name, _labels(masks))
    return root / name


def sam_folder(root: Path, masks: np.ndarray, name: str = "0001") -> Path:
    """As scripts/amg.py does: no line end after the last row."""
    rows = [SAM_HEADER]
    for index, (mask, (iou, stability)) in enumerate(zip(masks, QUALITIES, strict=False)):
        path = put(root / name / f"{index}.png", b"")
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)
        rows.append(f"{index},{mask.sum()},1,2,3,4,5.5,6.5,{iou},{stability},0,0,8,6")
    return put(root / name / "metadata.csv", "\n".join(rows))


def sam_list(root: Path, masks: np.ndarray, name: str = "0001.json") -> Path:
    """As scripts/amg.py --convert-to-rle does."""
    records = [
        {
            "segmentation": {"size": [*mask.shape], "counts": rle.encode(mask).decode()},
            "area": int(mask.sum()),
            "bbox": [0, 0, 1, 1],
            "predicted_iou": iou,
            "point_coords": [[1.5, 2.5]],
            "stability_score": stability,
            "crop_box": [0, 0, 8, 6],
        }
        for mask, (iou, stability) in zip(masks, QUALITIES, strict=False)
    ]
    return put(root / name, records)


def sa1b(root: Path, masks: np.ndarray) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    write_segments(root / "0001.json", Segments.from_masks(masks), "0001.jpg")
    return root / "0001.json"


def saga(root: Path, masks: Any, name: str = "0001.pt", **options: Any) -> Path:
    """A tensor of masks, or whatever else is given."""
    path = put(root / name, b"")
    torch.save(torch.from_numpy(masks) if isinstance(masks, np.ndarray) else masks, path, **options)
    return path


def patches(masks: np.ndarray) -> dict[str, np.ndarray]:
    """What OmniSeg3D's run_sam.py keeps: unique columns, and how many masks each two share."""
    if not len(masks):
        return {"indices": np.zeros(masks.shape[1:], int), "correlation": np.zeros((1, 1), int)}
    columns, indices = np.unique(masks.reshape(len(masks), -1), axis=1, return_inverse=True)
    return {
        "indices": indices.reshape(masks.shape[1:]).astype(np.int16),
        "correlation": (columns.astype(int).T @ columns).astype(np.uint8),
    }


def omniseg3d(root: Path, masks: np.ndarray) -> Path:
    path = put(root / "0001.npz", b"")
    np.savez_compressed(path, **patches(masks))
    return path


def pixel_level_keys(masks: np.ndarray) -> np.ndarray:
    """[h, w, n]: at each pixel the ids of its masks, -1 for want of more; ids follow the area."""
    by_area = sorted(masks, key=np.sum)
    keys = np.full((*masks.shape[1:], int(masks.sum(axis=0).max(initial=0))), -1, dtype=np.int64)
    for mask_id, mask in enumerate(by_area):
        for row, column in zip(*np.nonzero(mask), strict=True):
            free = np.flatnonzero(keys[row, column] == -1)[0]
            keys[row, column, free] = mask_id
    return keys


def garfield(root: Path, *views: np.ndarray, name: str = "sam_data.hdf5") -> Path:
    """The masks of three photos: a single one's are those of all."""
    group = {}
    for index, masks in enumerate(views * (3 if len(views) == 1 else 1)):
        keys = pixel_level_keys(masks)
        group[f"sam_hf/pixel_level_keys/{index}"] = keys
        group[f"sam_hf/scale_3d/{index}"] = np.ones((len(masks), 1), np.float32)
        group[f"sam_hf/group_cdf/{index}"] = np.ones(keys.shape, np.float32)
    return hdf5(root / name, group)


def hdf5(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value
    return path


def coco_json(
    annotations: Sequence[dict[str, Any]],
    images: Sequence[str] = ("cam0/0001.jpg",),
    size: tuple[Any, Any] = (8, 6),
) -> dict[str, Any]:
    """`annotations` are of image 1 and get ids unless they say otherwise."""
    width, height = size
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "table"}],
        "images": [
            {"id": k, "width": width, "height": height, "file_name": name}
            for k, name in enumerate(images, start=1)
        ],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 1 + k % 2, "iscrowd": 0} | annotation
            for k, annotation in enumerate(annotations, start=1)
        ],
    }


def coco(root: Path, masks: np.ndarray) -> Path:
    """CVAT's: uncompressed run lengths, and photos beside them."""
    size = [*masks.shape[1:]]
    annotations = [{"segmentation": {"size": size, "counts": runs(mask)}} for mask in masks]
    label_map(root, masks, "images/default/0001.png")
    return put(root / "annotations/instances_default.json", coco_json(annotations))


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths column by column, the first of zeros."""
    values = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff([0, *edges.tolist(), values.size]).tolist()
    return [0, *lengths] if values[0] else lengths


def panoptic(root: Path, masks: np.ndarray) -> Path:
    labels = _labels(masks)
    listed = [int(label) for label in np.unique(labels[labels > 0])]
    return coco_panoptic(root, labels, listed, size=masks.shape[:0:-1])


def coco_panoptic(
    root: Path,
    labels: np.ndarray,
    listed: Sequence[int],
    folder: str = "default",
    size: tuple[int, ...] = (4, 3),
) -> Path:
    """A PNG of labels, and a JSON that lists these segments; gives the PNG."""
    segments = [{"id": k, "category_id": 1, "area": 3, "iscrowd": 0} for k in listed]
    annotation = {"file_name": "0001.png", "segments_info": segments}
    put(root / "annotations/default.json", coco_json([annotation], size=(size[0], size[1])))
    path = put(root / folder / "0001.png", b"")
    Image.fromarray(as_colors(labels)).save(path)
    return path


def as_colors(labels: np.ndarray) -> np.ndarray:
    """R + 256 G + 256² B."""
    return np.stack([labels % 256, labels // 256 % 256, labels // 65536], axis=2).astype(np.uint8)


def _labels(masks: np.ndarray) -> np.ndarray:
    """Masks that do not overlap, numbered from 1."""
    return (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(axis=0)
