"""The synthetic capture that the tests train on, and the scene trained from it.

Three balls of colored Gaussians on a textured ground, rendered with our own renderer from ten
cameras on an arc, the second and the eighth held out. Object k of the truth is ball k, the ground
is background. The masks are what a segmenter gives: the ground too, ids shuffled in every view,
some balls cut in two and some missed. All of it is the same on every run.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from splatseg.geometry import SH_DC, Camera, Gaussians
from splatseg.images import to_uint8
from splatseg.masks import Segments, write_label_map, write_segments
from splatseg.progress import SILENT, Progress
from splatseg.render import project, rasterize
from splatseg.scene import Scene, load_scene
from splatseg.training.config import PRESETS, TrainConfig
from splatseg.workflows.training import train

WIDTH, HEIGHT, FOCAL = 96, 72, 110.0
VIEWS = 10
HELD_OUT = {"view_1", "view_7"}
NAMES = ("red ball", "green ball", "blue ball")
CENTERS = ((-0.62, -0.35, 0.3), (0.6, -0.3, 0.28), (0.05, 0.6, 0.32))
RADII = (0.3, 0.28, 0.32)
COLORS = ((0.85, 0.2, 0.15), (0.2, 0.75, 0.25), (0.25, 0.35, 0.9))
GAUSSIANS_PER_BALL = 160
GROUND_SIDE = 26  # Gaussians along a side of the ground
POINT_NOISE = 0.02  # world units: how far the capture's points are off
INSIDE = 0.5  # alpha above which a pixel shows the scene

SHORT_RUN = {  # the preset's intervals, for a run of hundreds of iterations on tiny photos
    "iterations": 450,
    "checkpoint_interval": 100,
    "appearance": {"sh_degree": 1, "sh_interval": 200},
    "density": {"start": 100, "interval": 50, "reset_interval": 1.0},
    "contrastive": {"interval": 2, "min_pixels": 30, "feature_lr": 0.01},
    "spatial": {"interval": 15, "anchors": 200},
}


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A capture folder and its truth: instance maps by frame, 0 for background."""

    root: Path
    truth: dict[str, np.ndarray]

    @property
    def train_frames(self) -> list[str]:
        return [name for name in self.truth if name not in HELD_OUT]

    def click(self, object_id: int, frame: str) -> tuple[int, int]:
        """Column and row of a pixel in the middle of an object."""
        rows, columns = np.nonzero(self.truth[frame] == object_id)
        inner = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
        return int(columns[inner]), int(rows[inner])


def short_config(preset: str = "paper", **changes: object) -> TrainConfig:
    """A preset with the intervals of SHORT_RUN; `changes` replace more, groups by dicts."""
    config = PRESETS[preset]  # type: ignore[index]
    for settings in (SHORT_RUN, changes):
        values = {
            name: dataclasses.replace(getattr(config, name), **value)
            if isinstance(value, dict)
            else value
            for name, value in settings.items()
        }
        config = dataclasses.replace(config, **values)
    return config


def train_folder(
    root: Path, config: TrainConfig, folder: Path, progress: Progress = SILENT
) -> Scene:
    """Train the capture in `root`, with its masks if `config` learns features."""
    train(root, folder, config=config, device="cpu", progress=progress)
    return load_scene(folder)


def true_gaussians() -> tuple[Gaussians, Tensor]:
    """The scene behind the photos, and the object of each Gaussian."""
    random = np.random.default_rng(0)
    means, colors, scales, labels = [], [], [], []
    steps = np.arange(GAUSSIANS_PER_BALL) + 0.5
    heights, turns = 1 - 2 * steps / GAUSSIANS_PER_BALL, math.pi * (1 + math.sqrt(5)) * steps
    ring = np.sqrt(1 - heights**2)
    sphere = np.column_stack([ring * np.cos(turns), ring * np.sin(turns), heights])
    for number, (center, radius, color) in enumerate(
        zip(CENTERS, RADII, COLORS, strict=True), start=1
    ):
        means.append(center + radius * sphere)
        colors.append(color + 0.12 * random.uniform(-1, 1, (len(sphere), 3)))
        scales.append(np.full((len(sphere), 3), 0.13 * radius))
        labels.append(np.full(len(sphere), number))
    ticks = np.linspace(-1.6, 1.6, GROUND_SIDE)
    x, y = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    checker = ((np.floor(2.5 * x) + np.floor(2.5 * y)) % 2)[:, None]
    means.append(np.column_stack([x, y, np.zeros(x.size)]))
    colors.append(0.45 + 0.25 * checker + 0.06 * random.uniform(-1, 1, (x.size, 3)))
    scales.append(np.tile([0.075, 0.075, 0.01], (x.size, 1)))
    labels.append(np.zeros(x.size, dtype=int))

    def tensor(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).float()

    count = sum(map(len, means))
    gaussians = Gaussians(
        means=tensor(means),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=tensor(scales).log(),
        logit_opacities=torch.full((count,), 0.97).logit(),
        sh=((tensor(colors) - 0.5) / SH_DC)[:, None, :],
        features=torch.zeros(count, 0),
    )
    return gaussians, torch.from_numpy(np.concatenate(labels))


def arc_cameras() -> dict[str, Camera]:
    """Cameras by frame, on an arc of 200 degrees, a little above the scene."""
    cameras = {}
    for index, angle in enumerate(np.linspace(math.radians(-100), math.radians(100), VIEWS)):
        position = np.array([2.9 * math.cos(angle), 2.9 * math.sin(angle), 1.9])
        forward = np.array([0.0, 0.0, 0.1]) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        pose = np.eye(4)
        pose[:3] = np.column_stack([rotation, -rotation @ position])
        cameras[f"view_{index}"] = Camera(
            torch.from_numpy(pose), FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT
        )
    return cameras


def write_capture(root: Path) -> Synthetic:
    """Photos, poses, points, split, masks and truth."""
    gaussians, labels = true_gaussians()
    cameras = arc_cameras()
    random = np.random.default_rng(1)
    (root / "images").mkdir(parents=True)
    truth = {}
    for index, (name, camera) in enumerate(cameras.items()):
        view = project(gaussians, camera)
        photo = rasterize(view, view.colors).image
        Image.fromarray(to_uint8(photo)).save(root / "images" / f"{name}.png")
        shown = rasterize(view, torch.nn.functional.one_hot(labels).float())
        parts = torch.where(shown.alpha >= INSIDE, shown.image.argmax(dim=-1) + 1, 0).numpy()
        truth[name] = np.maximum(parts - 1, 0)
        write_label_map(root / "gt_instances" / f"{name}.png", truth[name])
        write_segments(
            root / "masks" / "noisy" / f"{name}.json",
            Segments.from_masks(_disagreeing(parts, index, random)),
            f"{name}.png",
        )
    synthetic = Synthetic(root, truth)
    _write_json(root / "transforms.json", _transforms(cameras))
    _write_points(root / "points.ply", gaussians, random)
    split = {"train": synthetic.train_frames, "test": sorted(HELD_OUT)}
    _write_json(root / "split.json", split)
    instances = [{"id": k, "name": name} for k, name in enumerate(NAMES, start=1)]
    _write_json(root / "objects.json", {"instances": instances})
    _write_json(root / "prompts.json", _prompts(synthetic))
    return synthetic


def _disagreeing(parts: np.ndarray, view: int, random: np.random.Generator) -> np.ndarray:
    """A view's masks, from a map with 1 for ground and k + 1 for ball k: wrong in its own way."""
    masks = [parts == 1]
    for ball in (1, 2, 3):
        mask = parts == ball + 1
        if (view + 3 * ball) % 8 == 0:
            continue  # missed
        masks.append(mask)
        if (view + ball) % 4 == 0:  # its upper half is a mask too, on top of the whole
            rows = np.nonzero(mask)[0]
            masks.append(mask & (np.arange(HEIGHT)[:, None] < np.median(rows)))
    return np.stack([masks[i] for i in random.permutation(len(masks))])


def _transforms(cameras: dict[str, Camera]) -> dict[str, object]:
    """nerfstudio's file: world_from_cam with OpenGL's camera axes."""
    opengl = np.diag([1.0, -1.0, -1.0, 1.0])
    lens = {"w": WIDTH, "h": HEIGHT, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    lens |= {"fl_x": FOCAL, "fl_y": FOCAL}
    frames = [
        {
            "file_path": f"images/{name}.png",
            "transform_matrix": (np.linalg.inv(camera.cam_from_world.numpy()) @ opengl).tolist(),
        }
        for name, camera in cameras.items()
    ]
    return lens | {"ply_file_path": "points.ply", "frames": frames}


def _write_points(path: Path, gaussians: Gaussians, random: np.random.Generator) -> None:
    """Every second Gaussian's center, a little off, in its color."""
    xyz = gaussians.means.numpy()[::2]
    xyz = xyz + POINT_NOISE * random.standard_normal(xyz.shape)
    rgb = ((0.5 + SH_DC * gaussians.sh[::2, 0]).clamp(0, 1) * 255).round().int().tolist()
    kinds = [("float", "xyz"), ("uchar", ("red", "green", "blue"))]
    header = ["ply", "format ascii 1.0", f"element vertex {len(xyz)}"]
    header += [f"property {kind} {name}" for kind, names in kinds for name in names]
    rows = [
        f"{x:.6f} {y:.6f} {z:.6f} {r} {g} {b}"
        for (x, y, z), (r, g, b) in zip(xyz, rgb, strict=True)
    ]
    path.write_text("\n".join([*header, "end_header", *rows, ""]))


def _prompts(synthetic: Synthetic) -> list[dict[str, object]]:
    """Three clicks on each ball, in the views that show most of it."""
    prompts: list[dict[str, object]] = []
    for object_id in range(1, len(NAMES) + 1):
        areas = {f: np.sum(synthetic.truth[f] == object_id) for f in synthetic.train_frames}
        clicks = []
        for frame in sorted(areas, key=lambda f: -areas[f])[:3]:
            x, y = synthetic.click(object_id, frame)
            clicks.append({"view": frame, "x": x, "y": y})
        prompts.append({"id": object_id, "clicks": clicks})
    return prompts


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))
