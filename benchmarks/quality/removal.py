"""Taking an object out of a scene that was trained with it, against the scene that never had it.

    python benchmarks/quality/removal.py CAPTURES WORK [--cases desk kitchen toys] ...
    python benchmarks/quality/removal.py --table        the records as a Markdown table
    python benchmarks/quality/removal.py --picture FILE --scene SCENE --object ID [--frame NAME]

Truth comes from composing: an object's Gaussians, cut out of one trained scene by its true masks,
are put on the table of another. Renders of both together are the photos of a new capture, on which
a scene is trained; the removed object's footprint is then compared with renders of the scene
without it, in the held-out views. `control` is trained in the same way on photos without the
object: the most that can be had. CAPTURES and WORK are those of tabletop.py; what is there is not
made again.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from pipeline import RECORDS, command, git
from scipy import ndimage
from tabletop import appearance
from torch import Tensor

from splatseg.capture import Frame, load_capture
from splatseg.editing.placement import transform
from splatseg.editing.removal import without
from splatseg.editing.unobserved import UnobservedRegions, find_unobserved
from splatseg.geometry import SH_DC, Gaussians, concatenate
from splatseg.geometry.camera import Camera
from splatseg.images import save_image, scaled, to_uint8
from splatseg.masks import read_label_map
from splatseg.render import ProjectedGaussians, project, render
from splatseg.scene import load_scene
from splatseg.scene.photos import photo_or_render
from splatseg.segmentation.selection import SELECTED
from splatseg.segmentation.votes import vote_fractions
from splatseg.viz.edits import hatched, views_of
from splatseg.viz.montages import captioned_montage

TABLE = RECORDS / "removal"
SIZE = (320, 240)  # of the composed photos
OBJECT_FRACTION = (
    0.5  # of a Gaussian's votes, and of what covers a pixel, that make it the object's
)
MARGIN = 0.01  # meters around an object's true box, in which its Gaussians lie
KINDS = ("with", "without")  # the object
OPENGL = torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))  # nerfstudio's axes
RING = 6  # pixels around the footprint
LOW_FRACTION = 0.25  # of its votes, from which `low_threshold` takes a Gaussian away
COLUMNS = ("footprint", "seen", "unseen", "ring")
CELL = 420  # pixels, of the picture for the documentation
EVERY = 4  # of the object's Gaussians one becomes a point of the composed capture


@dataclass(frozen=True)
class Case:
    """An object of another capture, and where on the table it is put."""

    source: str
    object_id: int
    spot: tuple[float, float, float]
    """Where the middle of its foot comes to stand, meters."""
    turn: float
    """About the vertical, degrees."""


CASES = {
    "desk": Case("kitchen", 9, (0.19, 0.20, 0.743), 40),  # a mustard bottle, alone
    "kitchen": Case("desk", 3, (-0.26, -0.19, 0.783), 110),  # a red mug, which is hollow
    "toys": Case("desk", 6, (-0.115, -0.075, 0.553), 70),  # a coffee can, among four others
}


@dataclass(frozen=True)
class Composite:
    """A scene with and without an object."""

    background: Gaussians
    thing: Gaussians
    frames: tuple[Frame, ...]

    @property
    def both(self) -> Gaussians:
        return concatenate([self.background, self.thing])

    def mask(self, camera: Camera) -> Bool[Tensor, "h w"]:
        """Where the object is what a camera sees."""
        is_thing = torch.zeros(len(self.background) + len(self.thing), 1)
        is_thing[len(self.background) :] = 1
        rendered = render(project(self.both, camera), is_thing)
        return rendered.image[..., 0] > OBJECT_FRACTION * rendered.alpha.clamp_min(0.5)


def compose(name: str, options: argparse.Namespace) -> Composite:
    """The case's background with its object put on the table."""
    case = CASES[name]
    host, guest = (
        load_scene(appearance(options.captures / one, options.work, options.appearance, 0))
        for one in (name, case.source)
    )
    thing = cut_out(guest.gaussians, guest.frames, options.captures / case.source, case.object_id)
    low, high = box(options.captures / case.source, case.object_id)
    foot = torch.from_numpy(np.append((low + high)[:2] / 2, low[2])).float()
    angle = math.radians(case.turn) / 2
    thing = transform(
        thing,
        torch.ones(len(thing), dtype=torch.bool),
        torch.tensor([math.cos(angle), 0.0, 0.0, math.sin(angle)]),
        torch.tensor(case.spot) - foot,
        1.0,
        foot,
    )
    return Composite(host.gaussians, thing, host.frames)


def box(capture: Path, object_id: int) -> np.ndarray:
    """The lowest and the highest corner of an object's true points."""
    with np.load(capture / "points_gt.npz", allow_pickle=False) as points:
        own = (points["label"] == object_id) & ~points["outlier"].astype(bool)
        xyz = points["xyz_clean"][own]
    return np.stack([xyz.min(axis=0), xyz.max(axis=0)])


def cut_out(
    gaussians: Gaussians, frames: Sequence[Frame], capture: Path, object_id: int
) -> Gaussians:
    """The Gaussians that the true masks give an object."""

    def inside(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "1 h w"]:
        labels = read_label_map(capture / "gt_instances" / f"{frame.name}.png")
        camera = frame.camera
        labels = Image.fromarray(labels).resize(
            (camera.width, camera.height), Image.Resampling.NEAREST
        )
        return torch.from_numpy(np.asarray(labels) == object_id)[None]

    shares = vote_fractions(gaussians, frames, 1, inside)[:, 0]
    low, high = (torch.from_numpy(corner).float() for corner in box(capture, object_id))
    low, high = low - MARGIN, high + MARGIN
    low[2] += MARGIN  # what lies below its foot is table
    near = (gaussians.means > low) & (gaussians.means < high)
    return gaussians.select((shares > OBJECT_FRACTION) & near.all(dim=1))


def write_capture(
    root: Path, gaussians: Gaussians, frames: Sequence[Frame], points: np.ndarray
) -> None:
    """Renders of a scene as the photos of a capture; `points` as x y z red green blue."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    listed = []
    for frame in frames:
        camera = frame.camera.resized(*SIZE)
        photo = to_uint8(render(gaussians, camera).image)
        Image.fromarray(photo).save(root / "images" / f"{frame.name}.png")
        pose = (camera.cam_from_world.inverse() @ OPENGL).tolist()
        lens = {"w": camera.width, "h": camera.height, "cx": camera.cx, "cy": camera.cy}
        lens |= {"fl_x": camera.fx, "fl_y": camera.fy}
        listed.append({"file_path": f"images/{frame.name}.png", "transform_matrix": pose} | lens)
    split = {
        "train": [frame.name for frame in frames if not frame.is_test],
        "test": [frame.name for frame in frames if frame.is_test],
    }
    (root / "split.json").write_text(json.dumps(split))
    kinds = [("float", "xyz"), ("uchar", ("red", "green", "blue"))]
    header = ["ply", "format ascii 1.0", f"element vertex {len(points)}"]
    header += [f"property {kind} {name}" for kind, names in kinds for name in names]
    rows = [f"{x:.5f} {y:.5f} {z:.5f} {r:.0f} {g:.0f} {b:.0f}" for x, y, z, r, g, b in points]
    (root / "points.ply").write_text("\n".join([*header, "end_header", *rows, ""]))
    transforms = {"ply_file_path": "points.ply", "frames": listed}
    (root / "transforms.json").write_text(json.dumps(transforms))


def composed_points(composite: Composite, capture: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points of the capture alone, and with the object's, less those that it hides."""
    loaded = load_capture(capture)
    own = np.column_stack([loaded.points, loaded.colors]).astype(float)
    thing = composite.thing.select(torch.arange(0, len(composite.thing), EVERY))
    rgb = (0.5 + SH_DC * thing.sh[:, 0]).clamp(0, 1) * 255
    added = torch.cat([thing.means, rgb], dim=1).numpy()
    low, high = added[:, :3].min(axis=0) - MARGIN, added[:, :3].max(axis=0) + MARGIN
    hidden = ((own[:, :3] > low) & (own[:, :3] < high)).all(axis=1)
    return own, np.concatenate([own[~hidden], added])


def trained(name: str, composite: Composite, options: argparse.Namespace) -> tuple[Path, Path]:
    """Scenes trained on the photos with the object, and without it."""
    with_thing, without = (options.work / f"removal-{name}-{kind}" for kind in KINDS)
    own, both = composed_points(composite, options.captures / name)
    settings = ["--preset", "rgb", "--iterations", str(options.iterations), "--threads", "1"]
    for folder, gaussians, points in (
        (with_thing, composite.both, both),
        (without, composite.background, own),
    ):
        if not (folder / "scene" / "manifest.json").exists():
            write_capture(folder / "capture", gaussians, composite.frames, points)
            command(["train", str(folder / "capture"), "-o", str(folder / "scene"), *settings])
    return with_thing / "scene", without / "scene"


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """PSNR of each way to remove, in the held-out views, and what no photo shows."""
    composite = compose(name, options)
    with_thing, without_thing = map(load_scene, trained(name, composite, options))
    frames, gaussians = with_thing.frames, with_thing.gaussians
    training = [frame for frame in frames if not frame.is_test]

    def inside(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "1 h w"]:
        return composite.mask(frame.camera)[None]

    weights = vote_fractions(gaussians, training, 1, inside)[:, 0]
    is_thing = torch.zeros(len(composite.both))
    is_thing[len(composite.background) :] = 1
    truth = find_unobserved(composite.both, is_thing, composite.background, frames)
    removed = gaussians.select(without(gaussians, training, weights))
    said = find_unobserved(gaussians, weights, removed, frames)
    ways = {
        "before": gaussians,
        "half": gaussians.select(weights < SELECTED),
        "low_threshold": gaussians.select(weights < LOW_FRACTION),
        "ours": removed,
        "control": without_thing.gaussians,
    }
    return {
        "psnr": {way: psnrs(one, composite, truth, frames) for way, one in ways.items()},
        "gaussians": {way: len(one) for way, one in ways.items()},
        "unseen": {"truth": truth.fraction, "said": said.fraction, "iou": agreement(truth, said)},
    }


def psnrs(
    gaussians: Gaussians, composite: Composite, truth: UnobservedRegions, frames: Sequence[Frame]
) -> dict[str, float]:
    """Against the scene that never had the object, by region, over all held-out pixels of it."""
    errors: dict[str, list[np.ndarray]] = {region: [] for region in COLUMNS}
    for frame in frames:
        if frame.is_test:
            images = [render(g, frame.camera).image for g in (gaussians, composite.background)]
            first, second = (image.clamp(0, 1).numpy() for image in images)
            error = ((first - second) ** 2).mean(axis=-1)
            footprint, unseen = composite.mask(frame.camera).numpy(), truth.masks[frame.name]
            around = ndimage.binary_dilation(footprint, iterations=RING) & ~footprint
            hidden = footprint & unseen.numpy()
            regions = (footprint, footprint & ~hidden, hidden, around)
            for region, mask in zip(COLUMNS, regions, strict=True):
                errors[region].append(error[mask])
    means = {region: float(np.concatenate(parts).mean()) for region, parts in errors.items()}
    return {region: round(-10 * math.log10(mean), 2) for region, mean in means.items()}


def agreement(first: UnobservedRegions, second: UnobservedRegions) -> float:
    """IoU of two answers over all frames."""
    pairs = [(first.masks[name], second.masks[name]) for name in first.masks]
    shared = sum(int((a & b).sum()) for a, b in pairs)
    return shared / max(1, sum(int((a | b).sum()) for a, b in pairs))


def record(name: str, options: argparse.Namespace) -> Path:
    """Measure a case, and write its record."""
    data = {
        "case": name,
        "object": CASES[name].object_id,
        "source": CASES[name].source,
        "iterations": options.iterations,
        "size": SIZE,
        "commit": git("rev-parse", "--short", "HEAD"),
        "date": date.today().isoformat(),
        "figures": measure(name, options),
    }
    path = TABLE / f"{name}-{options.iterations}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def table() -> str:
    """All records, a row for each way to remove."""
    rows = [
        f"| case | way | {' | '.join(f'{one}, dB' for one in COLUMNS)} | never photographed |",
        "|---|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for path in sorted(TABLE.glob("*.json")):
        data = json.loads(path.read_text())
        unseen = data["figures"]["unseen"]
        shares = {"ours": f"{unseen['said']:.1%}", "control": f"{unseen['truth']:.1%}, the truth"}
        for way, figures in data["figures"]["psnr"].items():
            cells = [f"{figures[region]:.2f}" for region in COLUMNS]
            rows.append(f"| {data['case']} | {way} | {' | '.join(cells)} | {shares.get(way, '')} |")
    return "\n".join(rows)


def picture(options: argparse.Namespace) -> Path:
    """An object's photo, its removal by half of the votes and ours, and what no photo shows."""
    scene = load_scene(options.scene)
    assert scene.labels is not None
    weights = (scene.labels == options.object).float()
    training = [frame for frame in scene.frames if not frame.is_test]
    removed = scene.gaussians.select(without(scene.gaussians, training, weights))
    unseen = find_unobserved(scene.gaussians, weights, removed, scene.frames)
    named = {frame.name: frame for frame in scene.frames}
    frame = (
        named[options.frame] if options.frame else views_of(scene.gaussians, weights, training)[0]
    )
    halves, ours = (
        to_uint8(render(one, frame.camera).image)
        for one in (scene.gaussians.select(weights < SELECTED), removed)
    )
    cells = [photo_or_render(scene, frame), halves, ours]
    cells += [hatched(ours, unseen.masks[frame.name].numpy())]
    captions = ["photo", "its Gaussians removed", "splatseg remove", "hatched: never photographed"]
    sheet = captioned_montage([scaled(cell, CELL) for cell in cells], captions, 2, CELL)
    save_image(options.picture, sheet)
    return options.picture


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--iterations", type=int, default=3000, help="on the composed photos")
    parser.add_argument("--appearance", type=int, default=7000, help="iterations of the scenes")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--picture", type=Path, help="picture to write, of --scene and --object")
    parser.add_argument("--scene", type=Path, help="clustered scene folder")
    parser.add_argument("--object", type=int)
    parser.add_argument("--frame", help="of the picture; by default one that shows the object well")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.picture:
        print(picture(options))
    elif options.captures and options.work:
        for name in options.cases:
            print(record(name, options), flush=True)
    else:
        parser.error("give CAPTURES and WORK, --picture, or --table")


if __name__ == "__main__":
    main()
