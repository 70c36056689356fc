"""Photos of a box on a plane, covered with discs: features that pycolmap finds and tells apart."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
TEXELS = 402  # the ground's four meters and a border
TEXELS_PER_METER = 100
DISCS = 500
RADII = (3.0, 24.0)  # texels
AROUND = math.radians(8)  # between neighboring views
LOOK_AT = np.array([0.0, 0.0, 0.3])

# Corner and two sides of each rectangle: the ground, the box's top, and two of its walls.
RECTANGLES = np.array(
    [
        [[-2.0, -2.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0]],
        [[-0.5, -0.5, 0.8], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[-0.5, -0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.8]],
        [[0.5, -0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.8]],
    ]
)


def camera(view: int) -> np.ndarray:
    """cam_from_world, 4 x 4: on an arc around the box."""
    angle = math.radians(-60) + view * AROUND
    position = np.array([3 * math.cos(angle), 3 * math.sin(angle), 1.8])
    forward = (LOOK_AT - position) / np.linalg.norm(LOOK_AT - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ position
    return pose


def photo(view: int, scene: int = 0) -> np.ndarray:
    """RGB. Scenes have the same shape and other textures."""
    pose = camera(view)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], axis=-1)
    origin, rays = -pose[:3, :3].T @ pose[:3, 3], rays @ pose[:3, :3]
    image = np.full((HEIGHT, WIDTH, 3), 40.0)
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    for number, (corner, u, v) in enumerate(RECTANGLES):
        normal = np.cross(u, v)
        depth = ((corner - origin) @ normal) / (rays @ normal)
        at = (origin + depth[..., None] * rays - corner) @ np.linalg.pinv(
            np.stack([u, v], axis=1)
        ).T
        shown = (depth > 0) & (depth < nearest) & (at >= 0).all(axis=-1) & (at <= 1).all(axis=-1)
        nearest[shown] = depth[shown]
        sides = np.linalg.norm([u, v], axis=1)
        texels = at[shown] * sides * TEXELS_PER_METER
        image[shown] = _sampled(_texture(scene, number), texels)
    return np.rint(image).astype(np.uint8)


def write_photos(folder: Path, views: range, scene: int = 0, **saving: Any) -> None:
    """`view_0.png` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for view in views:
        Image.fromarray(photo(view, scene)).save(folder / f"view_{view}.png", **saving)


@cache
def _texture(scene: int, number: int) -> np.ndarray:
    random = np.random.default_rng([scene, number])
    texture = Image.new("RGB", (TEXELS, TEXELS), (128, 128, 128))
    draw = ImageDraw.Draw(texture)
    for radius in np.geomspace(*RADII, DISCS)[::-1]:
        x, y = random.uniform(0, TEXELS, 2)
        color = tuple(random.integers(0, 256, 3).tolist())
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    return np.asarray(texture, dtype=np.float64)


def _sampled(texture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear."""
    column, row = np.floor(at).astype(int).T
    right, down = (at - np.floor(at)).T[..., None]
    upper = (1 - right) * texture[row, column] + right * texture[row, column + 1]
    lower = (1 - right) * texture[row + 1, column] + right * texture[row + 1, column + 1]
    return (1 - down) * upper + down * lower
