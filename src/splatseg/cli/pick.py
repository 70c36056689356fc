"""`splatseg pick`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from splatseg.capture import Frame
from splatseg.cli.images import photo_or_render, save_image, save_mask
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.pictures import contact_sheet, highlight, mark
from splatseg.scene import (
    Scene,
    load_scene,
    replacing_folder,
    write_ply,
    write_tensors,
)
from splatseg.segmentation import (
    THRESHOLD,
    Click,
    photo_masks,
    query_features,
    select_gaussians,
)

SHEET_VIEWS = 6
SHEET_CELL = 420  # pixels


@dataclass(frozen=True)
class Pick:
    """Pick an object by clicking on it: its mask in every view, and its Gaussians."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    at: tyro.conf.UseAppendAction[list[str]]
    """FRAME:X,Y on the photo as shipped; give it again for more clicks on the same object."""
    name: str = "object"
    """Name of the pick: the folder SCENE/picks/NAME."""
    threshold: float = THRESHOLD
    """Cosine similarity to a click from which a pixel belongs to the object."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write instead of SCENE/picks/NAME."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write masks, Gaussians and an overview."""
        if not -1 <= self.threshold <= 1:
            raise SplatsegError(f"--threshold is {self.threshold}; expected a cosine in [-1, 1]")
        scene = load_scene(self.scene)
        clicks = [parse_click(text) for text in self.at]
        queries = query_features(scene.gaussians, scene.frames, clicks)
        folder = self.output or self.scene / "picks" / self.name
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
            if not bool(chosen.any()):
                out.say("no Gaussian is mostly inside these masks; the 3D selection is empty")
            write_ply(new / "gaussians.ply", scene.gaussians.select(chosen))
            write_tensors(new / "selection.safetensors", {"selected": chosen}, {})
            self._write_sheet(new / "overview.png", scene, clicks, pixels, folder=new)
        count = int(chosen.sum())
        shown = sum(1 for size in pixels.values() if size > 0)
        out.say(f"{count} Gaussians; the object shows in {shown} of {len(pixels)} views")
        out.wrote(folder / "masks", "one PNG per photo, in the photo's own pixels")
        out.wrote(folder / "gaussians.ply", "the object, for any 3DGS viewer")
        out.wrote(folder / "overview.png", "look here first")
        return {"pick": str(folder), "gaussians": count, "pixels": pixels}

    def _write_sheet(
        self, path: Path, scene: Scene, clicks: list[Click], pixels: dict[str, int], folder: Path
    ) -> None:
        """The clicked photos and a spread of views with the object highlighted."""
        frames = {frame.name: frame for frame in scene.frames}
        clicked = dict.fromkeys(click.frame for click in clicks)
        seen = [name for name, size in pixels.items() if size > 0 and name not in clicked]
        wanted = max(1, SHEET_VIEWS - len(clicked))
        spread = [
            seen[i] for i in np.linspace(0, len(seen) - 1, min(wanted, len(seen))).astype(int)
        ]
        cells = []
        for name in [*clicked, *spread]:
            cell = self._cell(scene, frames[name], folder)
            for click in clicks:
                if click.frame == name:
                    cell = mark(cell, click.x, click.y)
            cells.append(cell)
        rows = [cells[i : i + 3] for i in range(0, len(cells), 3)]
        save_image(path, contact_sheet(rows, ["clicked"], SHEET_CELL))

    def _cell(self, scene: Scene, frame: Frame, folder: Path) -> np.ndarray:
        mask = np.asarray(Image.open(folder / "masks" / f"{frame.name}.png")) > 0
        return highlight(photo_or_render(scene, frame), mask)


def parse_click(text: str) -> Click:
    """FRAME:X,Y; whole numbers name a pixel, so they mean its centre."""
    match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?),(\d+(?:\.\d*)?)", text)
    if match is None:
        raise SplatsegError(f"--at {text} is not FRAME:X,Y, as in frame_00012:320,240")
    frame, *xy = match.groups()
    x, y = (float(number) + (0.5 if number.isdigit() else 0.0) for number in xy)
    return Click(frame, x, y)
