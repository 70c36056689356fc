"""Memory and start-up of big captures, and the memory of training a big scene.

    python benchmarks/speed/memory.py capture [--photos N] [--masks M] [--size WxH] [--downscale D]
    python benchmarks/speed/memory.py train [--gaussians N] [--size WxH] [--iterations K]

Each synthesises a capture, in a temporary folder or in `--folder`, where one made before is used
again; then it measures in a fresh process. `capture` reads capture and masks as `splatseg train`
does, and asks for the photo and the labels of every training view, twice. `train` trains with every
loss, density control and a checkpoint within K iterations (20 by default), and counts bytes.
`--json FILE` keeps the figures. Peaks are those of the process, the interpreter and torch included.
"""

import argparse
import dataclasses
import json
import math
import os
import platform
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from splatseg.capture import Capture, Frame, load_capture
from splatseg.engine import library as engine
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks import Segments, open_masks, write_segments
from splatseg.progress import Silent
from splatseg.render import project, rasterize
from splatseg.scene import load_scene
from splatseg.training import ContrastiveConfig, DensityConfig, SpatialConfig, TrainConfig
from splatseg.training.views import TrainingViews
from splatseg.workflows.training import train

MIB = 2**20
VARIANTS = 16  # different photos and mask files; the others are copies, which read no faster
JPEG_QUALITY = 90
PINHOLE, OPENCV = 1, 4  # COLMAP's numbers of its camera models
DISTORTION = (-0.05, 0.01, 0.001, -0.001)
TRAIN_PHOTOS = 8  # one of them is held out
TRAIN_MASKS = 50

# Within 20 iterations, each of these alone, and all of them together, as every 100th of the paper.
CONTRASTIVE_EVERY = 5
EVERYTHING_EVERY = 10
CHECKPOINT_EVERY = 12

WIDER = (1, 4, 16)  # trained scenes have larger Gaussians than those that 20 iterations leave


# The synthetic captures


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Noise in [-1, 1] that varies over 1/`cells` of the width."""
    width, height = size
    coarse = rng.uniform(-1, 1, (max(2, cells * height // width), cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def make_photo(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Smooth noise at three scales, so that the file is about as large as a real photo's."""
    octaves = ((8, 90.0), (60, 25.0), (400, 8.0))
    planes = [
        sum(share * smooth_noise(rng, size, cells) for cells, share in octaves) for _ in range(3)
    ]
    return Image.fromarray(np.clip(128 + np.stack(planes, axis=-1), 0, 255).astype(np.uint8))


def make_masks(rng: np.random.Generator, size: tuple[int, int], count: int) -> Segments:
    """Overlapping blobs with wavy outlines, from 2 to 30 % of the width."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) / width)[None]
    y = (np.arange(height, dtype=np.float32) / width)[:, None]
    outline = 0.5 * smooth_noise(rng, size, 40)
    masks = np.zeros((count, height, width), dtype=bool)
    for mask in masks:
        radius = 0.02 * 15 ** rng.uniform()
        stretch = rng.uniform(0.5, 2)
        dx = (x - rng.uniform()) / (radius * stretch)
        dy = (y - rng.uniform(0, height / width)) / (radius / stretch)
        mask[:] = dx * dx + dy * dy < 1 + outline
    return Segments.from_masks(masks, rng.uniform(0.8, 1, count), rng.uniform(0.9, 1, count))


def make_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """On a wavy ball of radius 1 and the ground under it: all of it is seen by every camera."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ball = directions * (1 + 0.1 * np.sin(7 * directions).sum(axis=1, keepdims=True))
    ground = np.column_stack([rng.uniform(-2, 2, (count, 2)), np.full(count, -1.2)])
    return np.where(rng.uniform(size=(count, 1)) < 0.5, ball, ground)


def camera_poses(count: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Quaternions wxyz and translations of cam_from_world: a circle of radius 4, tilted down."""
    tilt = 0.3
    down = np.array([math.cos(math.pi / 4 + tilt / 2), math.sin(math.pi / 4 + tilt / 2), 0, 0])
    for angle in 2 * math.pi * np.arange(count) / count:
        yield (
            quaternion_product(down, (math.cos(angle / 2), 0, 0, math.sin(angle / 2))),
            np.array([0.0, 0.0, 4.0]),
        )


def quaternion_product(a: Iterable[float], b: Iterable[float]) -> np.ndarray:
    """a b, both wxyz."""
    (w, x, y, z), (s, u, v, t) = a, b
    return np.array(
        [
            w * s - x * u - y * v - z * t,
            w * u + x * s + y * t - z * v,
            w * v - x * t + y * s + z * u,
            w * t + x * v - y * u + z * s,
        ]
    )


def write_model(
    folder: Path,
    names: list[str],
    size: tuple[int, int],
    xyz: np.ndarray,
    observations: int,
    distorted: bool,
) -> None:
    """A binary COLMAP model with one lens; `observations` 2D points a photo, as files have them."""
    folder.mkdir(parents=True)
    width, height = size
    params = (0.9 * width, 0.9 * width, width / 2, height / 2, *(DISTORTION if distorted else ()))
    model = OPENCV if distorted else PINHOLE
    camera = struct.pack(f"<QIiQQ{len(params)}d", 1, 1, model, width, height, *params)
    (folder / "cameras.bin").write_bytes(camera)
    with open(folder / "images.bin", "wb") as file:
        file.write(struct.pack("<Q", len(names)))
        for index, (name, (quat, translation)) in enumerate(
            zip(names, camera_poses(len(names)), strict=True), start=1
        ):
            file.write(struct.pack("<I7dI", index, *quat, *translation, 1))
            file.write(name.encode() + b"\0" + struct.pack("<Q", observations))
            file.write(bytes(24 * observations))
    point = np.dtype(
        [("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("track", "<u8")]
    )
    rows = np.zeros(len(xyz), dtype=point)
    rows["id"], rows["xyz"], rows["rgb"] = np.arange(len(xyz)), xyz, 128
    (folder / "points3D.bin").write_bytes(struct.pack("<Q", len(xyz)) + rows.tobytes())


def synthesise(
    folder: Path,
    *,
    photos: int,
    masks: int,
    size: tuple[int, int],
    points: int,
    observations: int = 0,
    distorted: bool = False,
) -> None:
    """Write a capture with one mask set, unless `folder` holds one with the same arguments."""
    wanted = {name: value for name, value in locals().items() if name != "folder"}
    recipe = folder / "recipe.json"
    if recipe.is_file():
        found = json.loads(recipe.read_text())
        if found != json.loads(json.dumps(wanted)):
            raise SystemExit(f"{folder} holds another capture ({found}); give another --folder")
        return
    rng = np.random.default_rng(0)
    names = [f"{index:05}.jpg" for index in range(photos)]
    (folder / "images").mkdir(parents=True)
    jpegs, segments = [], []
    for _ in range(min(VARIANTS, photos)):
        path = folder / "images" / "variant.jpg"
        make_photo(rng, size).save(path, quality=JPEG_QUALITY)
        jpegs.append(path.read_bytes())
        path.unlink()
        segments.append(make_masks(rng, size, masks))
    for index, name in enumerate(names):
        (folder / "images" / name).write_bytes(jpegs[index % VARIANTS])
        path = folder / "masks" / "synthetic" / f"{Path(name).stem}.json"
        write_segments(path, segments[index % VARIANTS], name)
    model = folder / "sparse" / "0"
    write_model(model, names, size, make_points(rng, points), observations, distorted)
    recipe.write_text(json.dumps(wanted))


# Memory of this process


def peak_bytes() -> int:
    """The most memory that this process had since its start, or since `forget_peak`."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts the parent's memory at the fork as well
        match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if match:
            return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Begin a new peak where Linux allows it; elsewhere peaks stay those since the start."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


# Part 1: the capture and its masks


def measure_capture(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start-up, two epochs of photos and labels, and peak memory; `options.began` is the spawn."""
    figures: dict[str, Any] = {"imports_seconds": time.time() - options.began}
    imported = peak_bytes()
    torch.set_num_threads(1)  # as in training
    capture = load_capture(folder, downscale=options.downscale)
    masks = open_masks(folder, None, [frame.name for frame in capture.frames])
    views = TrainingViews(capture, masks, ContrastiveConfig(), seed=0)
    figures["loaded_seconds"] = time.time() - options.began
    first = views.frame_at(0)
    views.photo(first)
    views.labels(first)
    figures["first_view_seconds"] = time.time() - options.began
    figures["start_up_peak_mib"] = peak_bytes() / MIB
    for epoch in ("first_epoch", "second_epoch"):
        figures[epoch] = one_epoch(views, 0 if epoch == "first_epoch" else 1)
    camera = capture.frames[0].camera
    return figures | {
        "views": len(capture.train),
        "working_size": [camera.width, camera.height],
        "imports_peak_mib": imported / MIB,
        "peak_mib": peak_bytes() / MIB,
    }


def one_epoch(views: TrainingViews, epoch: int) -> dict[str, float]:
    """Seconds of an epoch, and the milliseconds that a view's frame, photo and labels take."""
    count = len(views.capture.train)
    took: dict[str, list[float]] = {"frame_at": [], "photo": [], "labels": []}
    began = time.perf_counter()
    for step in range(epoch * count, (epoch + 1) * count):
        started = time.perf_counter()
        frame = views.frame_at(step)
        found = time.perf_counter()
        views.photo(frame)
        photographed = time.perf_counter()
        views.labels(frame)
        labeled = time.perf_counter()
        took["frame_at"].append(found - started)
        took["photo"].append(photographed - found)
        took["labels"].append(labeled - photographed)
    seconds = {"seconds": time.perf_counter() - began}
    return seconds | {f"{name}_ms": 1000 * float(np.mean(times)) for name, times in took.items()}


def print_capture(figures: dict[str, Any]) -> None:
    """The figures of `capture` as a table."""
    width, height = figures["working_size"]
    print(f"{figures['views']} training views of {width}x{height}")
    print(f"start-up to the first view   {figures['first_view_seconds']:8.1f} s")
    print(f"  of which imports           {figures['imports_seconds']:8.1f} s")
    print(f"peak memory                  {figures['peak_mib']:8.0f} MiB")
    print(f"  at the first view          {figures['start_up_peak_mib']:8.0f} MiB")
    print(f"  after imports              {figures['imports_peak_mib']:8.0f} MiB")
    for epoch in ("first_epoch", "second_epoch"):
        e = figures[epoch]
        print(
            f"{epoch.replace('_', ' '):28s} {e['seconds']:8.1f} s; a view: frame_at "
            f"{e['frame_at_ms']:.2f} ms, photo {e['photo_ms']:.2f} ms, labels "
            f"{e['labels_ms']:.2f} ms"
        )


# Part 2: training


def measure_train(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory by kind of iteration, and where the bytes are."""
    config = TrainConfig(
        iterations=options.iterations,
        max_gaussians=options.gaussians,
        checkpoint_interval=CHECKPOINT_EVERY,
        contrastive=ContrastiveConfig(interval=CONTRASTIVE_EVERY),
        spatial=SpatialConfig(interval=EVERYTHING_EVERY),
        density=DensityConfig(start=1, stop=2.0, interval=EVERYTHING_EVERY),
    )
    watch = PeakWatch()
    with tempfile.TemporaryDirectory() as scene_folder:
        train(folder, Path(scene_folder), config=config, downscale=1, progress=watch)
        watch.peaks["saving the scene"] = peak_bytes()
        scene = load_scene(scene_folder)
    capture = load_capture(folder, downscale=1)
    width, height = options.size
    return {
        "gaussians": len(scene.gaussians),
        "pixels": width * height,
        "threads": engine.threads(),
        "peak_mib": max(watch.peaks.values()) / MIB,
        "peaks_mib": {kind: peak / MIB for kind, peak in watch.peaks.items()},
        "seconds": {kind: float(np.median(times)) for kind, times in watch.seconds.items()},
        "engine_pooled_mib": engine.pooled_bytes() / MIB,
        "arrays": array_bytes(scene.gaussians, capture),
        "wider": {
            factor: engine_bytes(widened(scene.gaussians, factor), capture.train[0])
            for factor in WIDER
        },
    }


class PeakWatch(Silent):
    """Peak memory and time of each kind of iteration."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self.seconds: dict[str, list[float]] = {}
        self._began = 0.0

    def note(self, text: str) -> None:
        """Capture and masks are open."""
        self.peaks["imports, capture, masks"] = peak_bytes()
        self._start()

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, float] | None = None
    ) -> None:
        """An iteration is done."""
        kind = kind_of(done)
        self.peaks[kind] = max(self.peaks.get(kind, 0), peak_bytes())
        self.seconds.setdefault(kind, []).append(time.perf_counter() - self._began)
        self._start()

    def _start(self) -> None:
        self._began = time.perf_counter()
        forget_peak()


def kind_of(iteration: int) -> str:
    """What an iteration does. A checkpoint counts with the iteration after it."""
    if iteration == 1:
        return "first Gaussians, first iteration"
    if iteration % EVERYTHING_EVERY == 0:
        return "all losses, density control"
    if iteration % CONTRASTIVE_EVERY == 0:
        return "rendering and contrastive loss"
    return "checkpoint" if (iteration - 1) % CHECKPOINT_EVERY == 0 else "rendering loss"


def array_bytes(gaussians: Gaussians, capture: Capture) -> dict[str, Any]:
    """Bytes of the arrays of one iteration, from their sizes; the engine's are what it reports."""
    n, frame = len(gaussians), capture.train[0]
    engine_holds = engine_bytes(gaussians, frame)
    leaves = Gaussians(**{k: t.detach().requires_grad_() for k, t in gaussians.tensors().items()})
    view = project(leaves, frame.camera)
    projected = (view.means2d, view.conics, view.depths, view.opacities, view.colors)
    for tensor in projected:
        tensor.retain_grad()
    colors, features = rasterize(view, view.colors), rasterize(view, leaves.features)
    for image in (colors.image, features.image):
        image.retain_grad()
    (colors.image.mean() + features.image.mean()).backward()
    parameters = total(leaves)
    by_gaussian = {
        "parameters": parameters,
        "gradients": total(leaf.grad for leaf in leaves),
        "Adam's moments": 2 * parameters,
        "density statistics": 8 * n,
        "projected": total((*projected, view.visible)),
        "gradients of projected": total(tensor.grad for tensor in projected),
        "engine: records, tile entries": engine_holds["binning"],
        "engine: blending and its gradient": engine_holds["blending"],
    }
    by_pixel = {
        "photo, kept as bytes": capture.image(frame).nbytes,
        "photo, as the loss reads it": 4 * capture.image(frame).size,
        "colors, alpha": total([colors.image, colors.alpha]),
        "gradient of colors": total([colors.image.grad]),
        "features, alpha": total([features.image, features.alpha]),
        "gradient of features": total([features.image.grad]),
    }
    pixels = frame.camera.width * frame.camera.height
    return {
        "bytes_per_gaussian": {name: size / n for name, size in by_gaussian.items()},
        "bytes_per_pixel": {name: size / pixels for name, size in by_pixel.items()},
    }


def engine_bytes(gaussians: Gaussians, frame: Frame) -> dict[str, int]:
    """What the engine holds after an iteration with features that began with nothing."""
    engine.release_pools()
    empty = engine.pooled_bytes()
    leaves = Gaussians(**{k: t.detach().requires_grad_() for k, t in gaussians.tensors().items()})
    view = project(leaves, frame.camera)
    binned = engine.pooled_bytes()
    images = rasterize(view, view.colors).image, rasterize(view, leaves.features).image
    sum(image.mean() for image in images).backward()  # type: ignore[union-attr]
    return {
        "tile_entries": view.tiles.count,
        "binning": binned - empty,
        "blending": engine.pooled_bytes() - binned,
    }


def widened(gaussians: Gaussians, factor: float) -> Gaussians:
    """The Gaussians with `factor` times the size."""
    return dataclasses.replace(gaussians, log_scales=gaussians.log_scales + math.log(factor))


def total(tensors: Iterable[Tensor | None]) -> int:
    """Bytes of the tensors' elements; None has none."""
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def print_train(figures: dict[str, Any]) -> None:
    """The figures of `train` as tables."""
    n, pixels, arrays = figures["gaussians"], figures["pixels"], figures["arrays"]
    print(f"{n} Gaussians, {pixels} pixels: peak {figures['peak_mib']:.0f} MiB")
    print(f"\n{'peak while':38s} {'MiB':>7s} {'seconds':>8s}")
    for kind, peak in figures["peaks_mib"].items():
        took = figures["seconds"].get(kind)
        print(f"{kind:38s} {peak:7.0f}" + ("" if took is None else f" {took:8.2f}"))
    print(
        f"\nthe engine holds {figures['engine_pooled_mib']:.0f} MiB after training with "
        f"{figures['threads']} threads; for one iteration, in bytes a Gaussian:"
    )
    print(f"{'times as wide':>15s} {'tile entries':>13s} {'binning':>8s} {'blending':>9s}")
    for factor, holds in figures["wider"].items():
        entries, binning, blending = (
            holds[key] / n for key in ("tile_entries", "binning", "blending")
        )
        print(f"{factor:>15s} {entries:13.1f} {binning:8.0f} {blending:9.0f}")
    for each, count in (("gaussian", n), ("pixel", pixels)):
        rows = arrays[f"bytes_per_{each}"]
        sizes = sorted(rows.items(), key=lambda row: -row[1])
        print(f"\n{'bytes a ' + each:38s} {sum(rows.values()):7.0f} = ", end="")
        print(f"{sum(rows.values()) * count / MIB:.0f} MiB; most in {sizes[0][0]}")
        for name, size in sizes:
            print(f"  {name:36s} {size:7.1f} {size * count / MIB:8.0f} MiB")


# The command


def processor() -> str:
    """The processor's name, where the system tells."""
    path = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", path.read_text()) if path.exists() else []
    return names[0] if names else platform.processor()


def size_argument(text: str) -> tuple[int, int]:
    """`1600x1200`."""
    width, height = text.split("x")
    return int(width), int(height)


def parse() -> argparse.Namespace:
    """The command line; `--began` is how the process that measures is told that it is the one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    capture, training = verbs.add_parser("capture"), verbs.add_parser("train")
    capture.add_argument("--photos", type=int, default=500)
    capture.add_argument("--masks", type=int, default=50, help="masks a photo")
    capture.add_argument("--size", type=size_argument, default=(1600, 1200))
    capture.add_argument("--points", type=int, default=20_000)
    capture.add_argument("--observations", type=int, default=2000, help="2D points a photo")
    capture.add_argument("--distorted", action="store_true", help="photos to be undistorted")
    capture.add_argument("--downscale", type=int, help="as in `splatseg train`")
    training.add_argument("--gaussians", type=int, default=1_000_000)
    training.add_argument("--size", type=size_argument, default=(1920, 1080))
    training.add_argument("--iterations", type=int, default=20)
    training.add_argument("--threads", type=int, help="the engine's; all by default")
    for verb in (capture, training):
        verb.add_argument("--folder", type=Path, help="keeps the capture for another run")
        verb.add_argument("--json", type=Path, help="file to write the figures to")
        verb.add_argument("--began", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the capture, and measure it in a process of its own."""
    if options.verb == "capture":
        synthesise(
            folder,
            photos=options.photos,
            masks=options.masks,
            size=options.size,
            points=options.points,
            observations=options.observations,
            distorted=options.distorted,
        )
    else:
        synthesise(
            folder,
            photos=TRAIN_PHOTOS,
            masks=TRAIN_MASKS,
            size=options.size,
            points=options.gaussians,
        )
    arguments = [*sys.argv[1:], "--folder", str(folder), "--began", str(time.time())]
    child = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(child.stdout)


def main() -> None:
    """Parse, run, print."""
    options = parse()
    measure: Callable[[Path, argparse.Namespace], dict[str, Any]]
    measure, show = {
        "capture": (measure_capture, print_capture),
        "train": (measure_train, print_train),
    }[options.verb]
    if options.began is not None:
        if getattr(options, "threads", None) is not None:
            engine.set_threads(options.threads)
        print(json.dumps(measure(options.folder, options)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        figures = run(options, options.folder or Path(temporary))
    show(figures)
    if options.json is not None:
        settings = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(options).items()
            if name not in ("folder", "json", "began")
        }
        machine = f"{os.cpu_count()} cores of {processor()}, {platform.machine()}"
        record = {"machine": machine, "settings": settings, "figures": figures}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
