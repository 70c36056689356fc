"""Files of each format that hold something else: one table of damage and what is said of it."""

import json

import numpy as np
import pytest
import torch
from builders.mask_files import (
    SAM_HEADER,
    as_colors,
    coco_json,
    hdf5,
    patches,
    put,
    saga,
    sam_folder,
)
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks.formats import read_masks

NAN = float("nan")
INSTANCES = "annotations/instances_default.json"
BOX = [1, 1, 5, 1, 5, 4, 1, 4]
BOXES = [{"segmentation": [BOX]}]
QUALITIES = ",12,1,2,3,4,5,6,0.9,0.9,0,0,8,6"


def write_table(root, masks, table):
    sam_folder(root, masks)
    put(root / "0001/metadata.csv", table)


def write_second_png(root, masks, size):
    sam_folder(root, masks)
    Image.new("L", size).save(root / "0001/1.png")


def write_keys(root, masks, keys):
    hdf5(root / "sam_data.hdf5", {f"sam_hf/pixel_level_keys/{k}": keys for k in range(3)})


KINDS = {  # how the damage is written, and how the sentence begins
    "png": (lambda root, _, image: image.save(root / "0001.png", compress_level=1), r"0001\.png "),
    "pt": (lambda root, _, content: saga(root, content), r"0001\.pt .*"),
    "patches": (
        lambda root, masks, change: np.savez(root / "0001.npz", **(patches(masks) | change)),
        r"0001\.npz is not OmniSeg3D's: ",
    ),
    "npz": (lambda root, _, arrays: np.savez(root / "0001.npz", **arrays), r"0001\.npz "),
    "hdf5": (lambda root, _, data: hdf5(root / "sam_data.hdf5", data), r"sam_data\.hdf5 "),
    "keys": (write_keys, r"sam_data\.hdf5 .*"),
    "table": (write_table, "0001.*"),
    "second png": (write_second_png, r"1\.png "),
    "list": (
        lambda root, _, data: put(root / "0001.json", json.dumps(data)),
        r"0001\.json does not hold SAM's masks .*",
    ),
    "coco": (
        lambda root, _, change: put(root / INSTANCES, coco_json(BOXES) | change),
        r"instances_default\.json is not COCO's: ",
    ),
    "coco size": (
        lambda root, _, size: put(root / INSTANCES, coco_json(BOXES, size=size)),
        r"default\.json \(cam0/0001\.jpg\) ",
    ),
    "many": (
        lambda root, _, count: put(root / INSTANCES, coco_json(BOXES * count)),
        r"\(cam0/0001\.jpg\) ",
    ),
    "annotation": (
        lambda root, _, annotation: put(root / INSTANCES, coco_json([*BOXES, annotation])),
        r"default\.json \(cam0/0001\.jpg\) has .* annotation 2: .*",
    ),
    "polygon": (
        lambda root, _, last: put(
            root / INSTANCES, coco_json([*BOXES, {"segmentation": [[*BOX[:-1], last]]}])
        ),
        r"default\.json \(cam0/0001\.jpg\) has .* annotation 2: .*its polygon ",
    ),
    "panoptic": (
        lambda root, _, annotation: put(root / "default.json", coco_json([annotation])),
        r"default\.json is not COCO's panoptic .*",
    ),
}
NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
MANY_LABELS = np.arange(65536).repeat(16).reshape(1024, 1024) + 1
OBJECTS = np.array([{"a": 1}], dtype=object)
NO_IDS = r"holds no ids \[height, width, n\] in"
NO_OBJECT = "an object at 'segmentation', found null"


def runs(size, *counts):
    return {"segmentation": {"size": size, "counts": [*counts]}}


@pytest.mark.parametrize(
    ("kind", "damage", "reason"),
    [
        ("png", Image.fromarray(NOISE), r"has 4\d\d\d labels in 4800 pixels"),
        ("png", Image.fromarray(as_colors(MANY_LABELS)), "holds 65536 masks; expected at most 655"),
        ("png", Image.new("RGBA", (8, 6)), "is a RGBA image"),
        ("png", Image.new("L", (6, 8)), "is 6x8 but its photo is 8x6"),
        ("pt", torch.zeros(6, 8), r"holds \[6, 8\]; expected masks \[n, height, width\]"),
        ("pt", torch.zeros(1, 3, 0, 8), r"holds \[1, 3, 0, 8\]"),
        ("pt", [torch.zeros(6, 8)], "holds a list"),
        ("pt", torch.full((2, 6, 8), 0.5), r"torch\.float32 tensor with values other than 0 and 1"),
        ("pt", torch.full((2, 6, 8), NAN), "values other than 0 and 1"),
        ("pt", torch.full((2, 6, 8), 255, dtype=torch.uint8), r"torch\.uint8 tensor with values"),
        ("pt", torch.zeros(65536, 6, 8, dtype=torch.bool), "holds 65536 masks"),
        ("patches", {"indices": np.zeros((6, 8))}, r"indices is float64 \[6, 8\], not a table of"),
        ("patches", {"indices": np.zeros((0, 8), int)}, r"indices is int64 \[0, 8\]"),
        ("patches", {"indices": np.full((6, 8), -1)}, "indices goes from -1 to -1 for 4 patches"),
        ("patches", {"indices": np.full((6, 8), 4)}, "indices goes from 4 to 4 for 4 patches"),
        ("patches", {"correlation": np.zeros((4, 3), int)}, r"correlation \[4, 3\] is not square"),
        ("patches", {"correlation": np.tri(4, dtype=int)}, r".* is not square and symmetric"),
        ("patches", {"correlation": np.array(["a"])}, "correlation is <U1"),
        ("npz", {"points": [0], "indices": [0]}, "holds points, indices; expected indices"),
        ("npz", {"indices": OBJECTS, "correlation": OBJECTS}, r"holds Python .* numpy\.savez"),
        ("hdf5", {}, "holds nothing; expected one group with pixel_level_keys"),
        ("hdf5", {"a": 1, "b/c": 1}, "holds a, b; expected one group"),
        ("hdf5", {f"{g}/pixel_level_keys/0": 1 for g in "ab"}, "holds /a, /b; .* several"),
        ("hdf5", {"a/pixel_level_keys/1": 1}, "does not number the images under /a/pixel_level_k"),
        ("hdf5", {"a/pixel_level_keys/0": 1}, "has masks of 1 images .* capture has 3 photos"),
        ("keys", np.zeros((6, 8), int), NO_IDS),
        ("keys", np.zeros((6, 8, 1), bool), NO_IDS),
        ("keys", np.array([b"a"]), NO_IDS),
        ("keys", 3, NO_IDS),
        ("keys", np.arange(65536).reshape(256, 256, 1), r"pixel_level_keys/0\) holds 65536 masks"),
        ("table", "id,area\n0,3", "no id, predicted_iou and stability_score in row 1 of 1"),
        ("table", f"{SAM_HEADER}\n0,12,1,2,3,4,5.5,6.5,0.9", "row 1 of 1; .* it is half written"),
        ("table", f"{SAM_HEADER}\n../x{QUALITIES}", "no id"),
        ("table", f"{SAM_HEADER}\n0,12,1,2,3,4,5,6,high,0.9,0,0,8,6", "no id"),
        ("table", f"{SAM_HEADER}\n0,12,1,2,3,4,5,6,nan,0.9,0,0,8,6", "no id"),
        ("table", f"{SAM_HEADER}\n9{QUALITIES}", r"9\.png cannot be read as PNG"),
        ("table", SAM_HEADER + f"\n0{QUALITIES}" * 65536, r"metadata\.csv holds 65536 masks"),
        ("table", b"\xff\xfe\x00", "not a table of masks"),
        ("second png", (16, 12), "is 16x12 but the masks before it are 8x6"),
        ("list", [{"segmentation": None}], NO_OBJECT),
        ("list", [{}] * 65536, NO_OBJECT),
        ("list", [{"segmentation": {"size": [6]}}], r"mask has the size \[h, w\] \[6\]"),
        ("list", [runs([0, 8])], r"has the size \[h, w\] \[0, 8\]"),
        ("list", [runs([6, 8], 1)], "annotation 1 of 1: its runs do not"),
        ("list", [runs([6, 8], 48), runs([8, 6], 48)], r"2 of 2: its size \[h, w\] is \[8, 6\]"),
        ("list", [runs([6, 8])] * 65536, "it holds 65536 masks"),
        ("list", 3, "an object at 'image', found null"),
        ("coco", {"images": {}}, r"expected a list at 'images', found \{\}"),
        ("coco", {"images": [{"id": 1}]}, "expected a text at 'file_name', found null"),
        ("coco", {"images": [{"file_name": "a"}]}, "expected a number or a text at 'id', found nu"),
        ("coco", {"images": [{"id": 1, "file_name": n} for n in "ab"]}, "two .* have the id 1"),
        ("coco", {"images": []}, "annotation 1 is of image 1, which is not listed"),
        ("coco", {"annotations": None}, "expected a list at 'annotations', found null"),
        ("coco", {"annotations": [{}]}, "expected a number or a text at 'image_id'"),
        ("coco size", (8, 8), "is 8x8 but its"),
        ("coco size", (0, 6), "has masks that cannot be used: "),
        ("coco size", (None, None), "has masks that cannot be used: "),
        ("coco size", (2**20, 2**20), "has masks that cannot be used: "),
        ("many", 65536, "holds 65536 masks"),
        ("annotation", {}, "it has no segmentation, at most a box"),
        ("annotation", {"segmentation": None, "bbox": [1, 2, 3, 4]}, "it has no segmentation"),
        ("annotation", {"segmentation": "abc"}, "expected an object at 'segmentation', found \"a"),
        ("annotation", {"segmentation": [[1, 2, 3, 4]]}, "its polygon has 4 numbers"),
        ("annotation", {"segmentation": [[*BOX, 1]]}, "its polygon has 9 numbers"),
        ("annotation", {"segmentation": BOX}, "its polygon is not a list of numbers"),
        ("annotation", {"segmentation": [["1"] * 8]}, "its polygon is not a list of numbers"),
        ("annotation", {"segmentation": [[True] * 8]}, "its polygon is not a list of numbers"),
        ("annotation", {"segmentation": {"counts": [48]}}, "a list at 'size', found null"),
        ("annotation", runs([6, 8], 3), "its runs do not add up to 8x6"),
        ("annotation", runs([8, 6], 48), r"its size \[h, w\] is \[8, 6\]"),
        ("polygon", 1e9, "lies far outside its 8x6 image"),
        ("polygon", NAN, "lies far outside"),
        ("polygon", float("-inf"), "lies far outside"),
        ("panoptic", {"segments_info": []}, "expected a text at 'file_name', found null"),
        ("panoptic", {"file_name": "0001.png", "segments_info": [{}]}, "a whole number at 'id', f"),
        ("panoptic", {"file_name": "0001.png", "segments_info": {}}, "a list at 'segments_info'"),
    ],
)
def test_what_is_refused_is_named(tmp_path, photos, masks, kind, damage, reason):
    write, start = KINDS[kind]
    write(tmp_path, masks, damage)
    with pytest.raises(SplatsegError, match=start + reason):
        list(read_masks(tmp_path, photos, "sam" if kind == "list" else None))
