"""Ground truth of a capture: which pixel shows which object, and where the objects are.

`objects.json` names the objects ("instances": [{"id", "name"}], ids from 1); the label map
`gt_instances/<frame>.png` holds the id at each pixel, 0 for the background. It may be made at
another scale than the photo. Two more files are optional: `gt_stuff/<frame>.png`, of the same size,
names what is no object (walls, the table; 0: nothing is known of the pixel), and `points_gt.npz`
has points on the objects in the capture's world: `xyz_clean` [n, 3], `label` [n] (the object's id)
and `outlier` [n] (bool). Sizes are (width, height), as in `Camera` and Pillow.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.masks import check_size, read_label_map

MIN_TRUTH_PIXELS = 50  # fewer, and the true outline itself is a guess

Box = Float[np.ndarray, "2 3"]
"""The lowest and the highest corner of an axis-aligned box, in world units."""


@dataclass(frozen=True)
class Truth:
    """The objects' names by id, and the instance maps of some frames."""

    names: Mapping[int, str]
    maps: Mapping[str, UInt[np.ndarray, "h w"]]

    def areas(self, frame: str) -> dict[int, int]:
        """Pixels by object id, of the objects that the frame shows."""
        instance_map = self.maps[frame]
        ids, areas = np.unique(instance_map[instance_map > 0], return_counts=True)
        return dict(zip(ids.tolist(), areas.tolist(), strict=True))

    def mask(self, frame: str, object_id: int) -> Bool[np.ndarray, "h w"]:
        """Where the frame shows the object."""
        return self.maps[frame] == object_id


def load_names(capture_root: Path) -> dict[int, str]:
    """The objects' names by id."""
    path = capture_root / "objects.json"
    data = read_json(
        path, 'the objects of a capture with ground truth: {"instances": [{"id", "name"}]}'
    )
    try:
        names = {int(instance["id"]): str(instance["name"]) for instance in data["instances"]}
    except (KeyError, TypeError, ValueError) as error:
        raise SplatsegError(
            f"{path} does not list its objects",
            expected='"instances": [{"id": 1, "name": "cup"}]',
        ) from error
    if not names or min(names) < 1:
        raise SplatsegError(
            f"{path} lists the ids {sorted(names)}",
            expected="numbers from 1 up",
        )
    return names


def load_truth(capture_root: Path, photo_sizes: Mapping[str, tuple[int, int]]) -> Truth:
    """The ground truth of those frames in `photo_sizes` that have any."""
    names = load_names(capture_root)
    maps = {}
    for frame, photo_size in photo_sizes.items():
        path = capture_root / "gt_instances" / f"{frame}.png"
        if path.is_file():
            maps[frame] = _instance_map(path, photo_size, names)
    return Truth(names=names, maps=maps)


def load_void(capture_root: Path, truth: Truth) -> dict[str, Bool[np.ndarray, "h w"]]:
    """Where each frame of `truth` shows no object but what `gt_stuff/` names.

    All that shows no object, for a frame without a file there.
    """
    void = {}
    for frame, instance_map in truth.maps.items():
        path = capture_root / "gt_stuff" / f"{frame}.png"
        void[frame] = instance_map == 0
        if path.is_file():
            void[frame] &= _stuff_map(path, instance_map.shape) > 0
    return void


def load_boxes(capture_root: Path) -> dict[int, Box]:
    """The box of each object that `points_gt.npz` has points of; none without the file."""
    path = capture_root / "points_gt.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            xyz, labels, is_outlier = (arrays[k] for k in ("xyz_clean", "label", "outlier"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SplatsegError(
            f"{path} cannot be read ({error})",
            expected="the arrays xyz_clean, label and outlier",
        ) from error
    if xyz.shape != (len(labels), 3) or is_outlier.shape != labels.shape:
        raise SplatsegError(
            f"{path} has xyz_clean {xyz.shape}, label {labels.shape} and outlier "
            f"{is_outlier.shape}",
            expected="(n, 3), (n,) and (n,)",
        )
    xyz, labels = xyz[~is_outlier.astype(bool)], labels[~is_outlier.astype(bool)]
    return {
        int(label): np.stack([part.min(axis=0), part.max(axis=0)])
        for label in np.unique(labels[labels > 0])
        for part in [xyz[labels == label]]
    }


def _instance_map(
    path: Path, photo_size: tuple[int, int], names: Mapping[int, str]
) -> UInt[np.ndarray, "h w"]:
    instance_map = read_label_map(path)
    height, width = instance_map.shape
    check_size(path, (width, height), photo_size)
    unnamed = set(np.unique(instance_map).tolist()) - names.keys() - {0}
    if unnamed:
        raise SplatsegError(
            f"{path} holds the ids {sorted(unnamed)}, which objects.json does not name",
            remedy="add them there or set these pixels to 0",
        )
    return instance_map


def _stuff_map(path: Path, shape: tuple[int, ...]) -> UInt[np.ndarray, "h w"]:
    stuff_map = read_label_map(path)
    if stuff_map.shape != shape:
        (height, width), (rows, columns) = stuff_map.shape, shape
        raise SplatsegError(
            f"{path} is {width}x{height} but the same frame's map in gt_instances/ is "
            f"{columns}x{rows}",
            remedy="make both at one size",
        )
    return stuff_map
