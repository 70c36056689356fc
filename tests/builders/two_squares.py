"""A capture with photos of two squares that move on from view to view, and no poses yet."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from splatseg.masks import Segments

SIZE = (96, 128)  # rows, columns
COLORS = {"red": (200, 40, 40), "green": (40, 200, 60)}
PHOTOS = {"a": "a.png", "b": "b.png", "more/c": "more/c.jpg"}  # by frame
MATCHED = 0.9  # IoU with a square


def square(name: str, view: int) -> np.ndarray:
    """Where a square is in a view: a little further right in the next."""
    place = np.zeros(SIZE, dtype=bool)
    top, left = {"red": (8, 8), "green": (48, 40)}[name]
    place[top : top + 40, left + 8 * view : left + 8 * view + 48] = True
    return place


def photo(view: int) -> np.ndarray:
    pixels = np.full((*SIZE, 3), 60, dtype=np.uint8)
    for name, color in COLORS.items():
        pixels[square(name, view)] = color
    return pixels


def best_iou(segments: Segments, place: np.ndarray) -> float:
    """Of the mask that fits a place best."""
    return max((mask & place).sum() / (mask | place).sum() for mask in segments.masks())


def write_photos(root: Path) -> Path:
    """The photos of PHOTOS, in `images/` of the capture."""
    for view, name in enumerate(PHOTOS.values()):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(view)).save(path, quality=100)
    return root


def add_poses(root: Path, test: tuple[str, ...] = ("b",)) -> None:
    """transforms.json and a split for the photos."""
    pose = np.eye(4).tolist()
    frames = [{"file_path": f"images/{name}", "transform_matrix": pose} for name in PHOTOS.values()]
    lens = {"w": SIZE[1], "h": SIZE[0], "fl_x": 100, "fl_y": 100}
    (root / "transforms.json").write_text(json.dumps(lens | {"frames": frames}))
    split = {"train": [name for name in PHOTOS if name not in test], "test": list(test)}
    (root / "split.json").write_text(json.dumps(split))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
