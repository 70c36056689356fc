"""`splatseg render`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from splatseg.capture import Frame
from splatseg.capture.photo import read_photo
from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.images import RGB, save_image
from splatseg.masks import read_label_map
from splatseg.masks.config import Level
from splatseg.render import project
from splatseg.scene import Scene, load_scene
from splatseg.scene.photos import photo_path, rendered_color
from splatseg.segmentation import feature_map, render_labels
from splatseg.segmentation.clustering import region_features
from splatseg.viz.features import FeatureColors
from splatseg.viz.labels import paint_labels
from splatseg.viz.montages import montage
from splatseg.viz.pictures import highlight
from splatseg.workflows.device import choose_device

Kind = Literal["photo", "color", "features", "clusters", "pick"]
Which = Literal["test", "train", "all"]

SHEET_ROWS = 5
SHEET_CELL = 400  # pixels
PALETTE_VIEWS = 6  # views whose features decide on the colors


@dataclass(frozen=True)
class Render:
    """Render a scene: colors, features, objects, side by side with the photos."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    frames: Which = "test"
    """Which views; those held out by default, or all where none is."""
    kinds: tuple[Kind, ...] = ()
    """What to render; by default all that the scene has. pick needs --pick."""
    level: Level = "whole"
    """Whose features to render: whole objects, their parts, or subparts."""
    pick: str | None = None
    """Name of a pick whose masks to draw."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write; SCENE/renders by default."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write one PNG per view and kind, and a contact sheet."""
        scene = load_scene(self.scene).at(self.level).to(choose_device(self.device))
        frames = _chosen_frames(scene, self.frames)
        kinds = self.kinds or _default_kinds(scene, self.pick)
        painters = {kind: _painter(kind, scene, self.scene, self.pick) for kind in kinds}
        folder = self.output or self.scene / "renders"
        rows: list[list[RGB]] = []
        in_sheet = set(np.linspace(0, len(frames) - 1, min(SHEET_ROWS, len(frames))).astype(int))
        with out.progress("rendering", len(frames)) as line:
            for index, frame in enumerate(frames):
                images = [paint(frame) for paint in painters.values()]
                for kind, image in zip(kinds, images, strict=True):
                    save_image(folder / kind / f"{frame.name}.png", image)
                if index in in_sheet:
                    rows.append(images)
                line.update(index + 1)
        sheet = folder / "contact_sheet.png"
        save_image(sheet, montage(rows, kinds, SHEET_CELL))
        out.wrote(folder, f"{len(frames)} views: {', '.join(kinds)}")
        out.wrote(sheet, "look here first")
        out.next(f"splatseg evaluate {self.scene} {scene.capture} --protocol nvs")
        return {"renders": str(folder), "contact_sheet": str(sheet), "views": len(frames)}


def _chosen_frames(scene: Scene, which: Which) -> list[Frame]:
    test = [frame for frame in scene.frames if frame.is_test]
    if which == "all" or (which == "test" and not test):
        return list(scene.frames)
    return test if which == "test" else [frame for frame in scene.frames if not frame.is_test]


def _default_kinds(scene: Scene, pick: str | None) -> tuple[Kind, ...]:
    kinds: list[Kind] = ["color"]
    if photo_path(scene, scene.frames[0]) is not None:
        kinds.insert(0, "photo")
    if scene.gaussians.features.shape[1] > 0:
        kinds.append("features")
    if scene.labels is not None:
        kinds.append("clusters")
    if pick is not None:
        kinds.append("pick")
    return tuple(kinds)


def _painter(kind: Kind, scene: Scene, folder: Path, pick: str | None) -> Callable[[Frame], RGB]:
    """How to paint a frame, at its working size."""
    if kind == "photo":
        return lambda frame: _undistorted_photo(scene, frame)
    if kind == "color":
        return lambda frame: rendered_color(scene, frame)
    if kind == "features":
        colors = _feature_colors(scene)
        return lambda frame: colors.paint(
            feature_map(scene.gaussians, project(scene.gaussians, frame.camera))
        )
    if kind == "clusters":
        labels = scene.labels
        if labels is None:
            raise SplatsegError(
                f"{folder} has no objects yet",
                remedy=f"run splatseg cluster {folder} first",
            )
        count = int(labels.max())
        return lambda frame: paint_labels(
            render_labels(scene.gaussians, labels, frame).cpu().numpy(), count
        )
    return lambda frame: _picked(scene, folder, pick, frame)


def _undistorted_photo(scene: Scene, frame: Frame) -> RGB:
    path = photo_path(scene, frame)
    if path is None:
        raise SplatsegError(
            f"{scene.capture} has no photo {frame.photo} any more",
            remedy="leave photo out of --kinds",
        )
    pixels = read_photo(path, like=(frame.lens.width, frame.lens.height))
    return frame.lens.warp_to_undistorted(pixels, frame.camera, nearest=False)


def _feature_colors(scene: Scene) -> FeatureColors:
    """One color map for all views of the scene.

    Fitted to regions rather than pixels, or walls and floor would take all the colors.
    """
    if scene.gaussians.features.shape[1] == 0:
        raise SplatsegError(
            "the scene has no segmentation features to render",
            remedy="train with masks",
        )
    frames = scene.frames
    chosen = np.linspace(0, len(frames) - 1, min(PALETTE_VIEWS, len(frames))).astype(int)
    samples = []
    for frame in [frames[i] for i in chosen]:
        features = feature_map(scene.gaussians, project(scene.gaussians, frame.camera))
        samples.append(region_features(features))
    return FeatureColors.fit(torch.cat(samples))


def _picked(scene: Scene, folder: Path, pick: str | None, frame: Frame) -> RGB:
    if pick is None:
        raise SplatsegError("--kinds pick needs --pick NAME, the name of a pick")
    path = folder / "picks" / pick / "masks" / f"{frame.name}.png"
    if not path.is_file():
        raise SplatsegError(
            f"there is no {path}",
            remedy=f"run splatseg pick {folder} --name {pick} first",
        )
    mask = read_label_map(path)
    working = frame.lens.warp_to_undistorted(mask, frame.camera, nearest=True) > 0
    return highlight(rendered_color(scene, frame), working)
