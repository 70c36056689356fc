"""`splatseg pick`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from splatseg.capture import Frame
from splatseg.capture.resampling import resize
from splatseg.cli.device import Device, choose_device
from splatseg.cli.images import photo_or_render, save_image, save_mask
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder, write_tensors
from splatseg.masks import read_label_map
from splatseg.masks.levels import Level
from splatseg.pictures import contact_sheet, highlight, mark, scaled
from splatseg.scene import Scene, load_scene, write_ply
from splatseg.segmentation import (
    QUERY_RADIUS,
    THRESHOLD,
    Click,
    photo_masks,
    query_features,
    select_gaussians,
)

WRITTEN = {"masks", "gaussians.ply", "selection.safetensors", "overview.png"}
SHEET_VIEWS = 6
SHEET_COLUMNS = 3
SHEET_CELL = 420  # pixels


@dataclass(frozen=True)
class Pick:
    """Pick an object by clicking on it: its mask in every view, and its Gaussians."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    at: tyro.conf.UseAppendAction[list[str]]
    """FRAME:X,Y on the photo as shipped; give it again for more clicks on the same object."""
    level: Level = "whole"
    """What a click means: the whole object, or the part or subpart of it that was clicked."""
    name: str = "object"
    """Name of the pick: the folder SCENE/picks/NAME."""
    threshold: float = THRESHOLD
    """Cosine similarity to a click from which a pixel belongs to the object."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0: its own, as published."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write instead of SCENE/picks/NAME."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write masks, Gaussians and an overview."""
        if not -1 <= self.threshold <= 1:
            raise SplatsegError(f"--threshold is {self.threshold}; expected a cosine in [-1, 1]")
        scene = load_scene(self.scene).at(self.level).to(choose_device(self.device))
        clicks = [parse_click(text) for text in self.at]
        queries = query_features(scene.gaussians, scene.frames, clicks, self.query_radius)
        folder = self._folder()
        pixels: dict[str, int] = {}
        with replacing_folder(folder) as new:
            masks = photo_masks(scene.gaussians, scene.frames, queries, self.threshold)
            with out.progress("masks", len(scene.frames)) as line:
                for done, (frame, mask) in enumerate(masks, start=1):
                    pixels[frame.name] = int(mask.sum())
                    save_mask(new / "masks" / f"{frame.name}.png", mask)
                    line.update(done)
            training = [frame for frame in scene.frames if not frame.is_test]
            chosen = select_gaussians(scene.gaussians, training, queries, self.threshold)
            if bool(chosen.any()):
                write_ply(new / "gaussians.ply", scene.gaussians.select(chosen))
            write_tensors(new / "selection.safetensors", {"selected": chosen}, {})
            self._write_sheet(new / "overview.png", scene, clicks, pixels, folder=new)
        count = int(chosen.sum())
        shown = sum(1 for size in pixels.values() if size > 0)
        out.say(f"{count} Gaussians; the object shows in {shown} of {len(pixels)} views")
        out.wrote(folder / "masks", "one PNG per photo, in the photo's own pixels")
        if count > 0:
            out.wrote(folder / "gaussians.ply", "the object, for any 3DGS viewer")
        else:
            out.say("no Gaussian is mostly inside these masks, so there is no gaussians.ply")
        out.wrote(folder / "overview.png", "look here first")
        return {"pick": str(folder), "gaussians": count, "pixels": pixels}

    def _folder(self) -> Path:
        """Where to write; refuses to put a pick in the place of anything but a pick."""
        is_folder_name = Path(self.name).parts == (self.name,) and self.name != ".."
        if self.output is None and not is_folder_name:
            raise SplatsegError(f"--name is {self.name!r}; expected a folder's name, as in cup")
        folder = self.output or self.scene / "picks" / self.name
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        foreign = [name for name in found if name not in WRITTEN and not name.startswith(".")]
        if foreign:
            raise SplatsegError(
                f"{folder} holds {min(foreign)}, which is no part of a pick, and a pick takes the "
                "place of the whole folder; choose a new one with -o or --name"
            )
        return folder

    def _write_sheet(
        self, path: Path, scene: Scene, clicks: list[Click], pixels: dict[str, int], folder: Path
    ) -> None:
        """The clicked photos, ringed, and a spread of views with the object highlighted."""
        frames = {frame.name: frame for frame in scene.frames}
        clicked = dict.fromkeys(click.frame for click in clicks)
        seen = [name for name, size in pixels.items() if size > 0 and name not in clicked]
        wanted = max(1, SHEET_VIEWS - len(clicked))
        spread = [
            seen[i] for i in np.linspace(0, len(seen) - 1, min(wanted, len(seen))).astype(int)
        ]
        cells = []
        for name in [*clicked, *spread]:
            here = [click for click in clicks if click.frame == name]
            cells.append(self._cell(scene, frames[name], folder, here))
        columns = min(SHEET_COLUMNS, len(cells))
        rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
        caption = f"{self.name}: ringed where clicked, dimmed outside"
        save_image(path, contact_sheet(rows, [caption], SHEET_CELL))

    def _cell(self, scene: Scene, frame: Frame, folder: Path, clicks: list[Click]) -> np.ndarray:
        """Drawn at the sheet's size, for lines on a large photo would vanish when it is shrunk."""
        photo = scaled(photo_or_render(scene, frame), SHEET_CELL)
        height, width = photo.shape[:2]
        mask = resize(
            read_label_map(folder / "masks" / f"{frame.name}.png"), width, height, nearest=True
        )
        cell = highlight(photo, mask > 0)
        for click in clicks:
            lens = frame.lens
            cell = mark(cell, click.x * width / lens.width, click.y * height / lens.height)
        return cell


def parse_click(text: str) -> Click:
    """FRAME:X,Y; whole numbers name a pixel, so they mean its centre."""
    match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?),(\d+(?:\.\d*)?)", text)
    if match is None:
        raise SplatsegError(f"--at {text} is not FRAME:X,Y, as in frame_00012:320,240")
    frame, *xy = match.groups()
    x, y = (float(number) + (0.5 if number.isdigit() else 0.0) for number in xy)
    return Click(frame, x, y)
