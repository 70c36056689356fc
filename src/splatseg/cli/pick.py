"""`splatseg pick`."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from splatseg.capture import Frame
from splatseg.capture.resampling import resize
from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.cli.prompts import PromptSet, prompts_for, read_objects
from splatseg.cli.text import TextFlags
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder, write_bytes
from splatseg.images import save_image, save_mask, scaled
from splatseg.masks import read_label_map
from splatseg.masks.config import Level
from splatseg.scene import Scene, load_scene, write_ply
from splatseg.scene.photos import photo_or_render
from splatseg.segmentation import (
    QUERY_RADIUS,
    THRESHOLD,
    Operation,
    Picker,
    PointPrompt,
    Selection,
    combine,
    grow,
    load_selection,
    save_selection,
)
from splatseg.text import GroundingVote
from splatseg.viz.labels import number_labels, paint_labels
from splatseg.viz.montages import montage
from splatseg.viz.pictures import highlight, mark
from splatseg.workflows.device import choose_device
from splatseg.workflows.selections import SELECTION, find_selection

WRITTEN = {"masks", "gaussians.ply", SELECTION, "overview.png", "debug"}
WRITTEN |= {"labels", "selections", "objects.json"}  # of many objects
SHEET_VIEWS = 6
SHEET_COLUMNS = 3
SHEET_CELL = 420  # pixels


@dataclass(frozen=True)
class Pick:
    """Pick an object, by clicks or other prompts: its mask in every view, and its Gaussians."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    at: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y on the photo as shipped; again for more clicks on the same object, in any views."""
    not_at: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y on what does not belong to it."""
    box: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X0,Y0,X1,Y1 around the object in a photo."""
    scribble: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:X,Y,X,Y,... a line over the things that belong to it."""
    mask: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """FRAME:FILE, a mask of the object in a photo, nonzero inside."""
    gaussian: tyro.conf.UseAppendAction[list[int]] = field(default_factory=list)
    """Row of a Gaussian of the object in scene.ply, from 0."""
    words: Annotated[TextFlags, tyro.conf.arg(name="")] = field(default_factory=TextFlags)
    points: Path | None = None
    """JSON file with the prompts of many objects; gives a label map for each view instead."""
    level: Level = "whole"
    """What a prompt means: the whole object, or the part or subpart of it."""
    add: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """An earlier pick of this scene, by its name or its selection.safetensors: add it."""
    subtract: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """The same: take it away."""
    intersect: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """The same: keep what is in both."""
    grow: int = 0
    """Grow the selection by so many Gaussians on all sides; below 0 it shrinks."""
    name: str = "object"
    """Name of the pick: the folder SCENE/picks/NAME."""
    threshold: float = THRESHOLD
    """Cosine similarity to a prompt from which a pixel belongs to the object."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0: its own, as published."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder to write instead of SCENE/picks/NAME."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write masks, Gaussians and an overview; of many objects, label maps."""
        if not -1 <= self.threshold <= 1:
            raise SplatsegError(
                f"--threshold is {self.threshold}",
                expected="a cosine in [-1, 1]",
            )
        device = choose_device(self.device)
        scene = load_scene(self.scene).to(device)
        asked = prompts_for(
            self.at, self.not_at, self.box, self.scribble, self.mask, self.gaussian, self.level
        )
        answers: dict[str, list[GroundingVote]] = {}
        if self.words.text:
            answers = self.words.ground(scene, device, self.level, self.threshold, out)
        elif self.words != TextFlags():
            raise SplatsegError("flags for finding what words mean are given, but no --text WORDS")
        if self.points is not None or len(answers) > 1:
            return self._pick_many(scene, asked, answers, out)
        return self._pick_one(scene, asked, answers, out)

    def _pick_one(
        self, scene: Scene, asked: PromptSet, answers: dict[str, list[GroundingVote]], out: Output
    ) -> dict[str, Any]:
        folder = self._folder()
        for words, found in answers.items():
            asked = asked.with_words(words, found)
        training = sum(1 for frame in scene.frames if not frame.is_test)
        with out.progress("selecting", training) as line:
            picker = Picker(scene, lambda done, total: line.update(done))
            selection = self._selection(picker, asked)
        pixels: dict[str, int] = {}
        with replacing_folder(folder) as new:
            with out.progress("masks", len(scene.frames)) as line:
                for done, (name, mask) in enumerate(picker.masks(selection), start=1):
                    pixels[name] = int(mask.sum())
                    save_mask(new / "masks" / f"{name}.png", mask)
                    line.update(done)
            count = int(selection.selected.sum())
            if count > 0:
                write_ply(new / "gaussians.ply", scene.gaussians.select(selection.selected))
            save_selection(new / SELECTION, selection)
            clicks = [prompt for prompt in asked.positive if isinstance(prompt, PointPrompt)]
            self._write_sheet(new / "overview.png", scene, clicks, pixels, folder=new)
            if self.words.debug:
                self.words.write_debug(new / "debug", scene, answers, picker)
        shown = sum(1 for size in pixels.values() if size > 0)
        if selection.queries is not None and selection.queries.level != self.level:
            out.say(f"at the level {selection.queries.level}, which tells the prompts apart")
        out.say(f"{count} Gaussians; the object shows in {shown} of {len(pixels)} views")
        out.wrote(folder / "masks", "one PNG per photo, in the photo's own pixels")
        if count > 0:
            out.wrote(folder / "gaussians.ply", "the object, for any 3DGS viewer")
        else:
            out.say("no Gaussian is mostly inside these masks, so there is no gaussians.ply")
        out.wrote(folder / SELECTION, "to combine, extract, remove or render it later")
        out.wrote(folder / "overview.png", "look here first")
        return {"pick": str(folder), "gaussians": count, "pixels": pixels}

    def _selection(self, picker: Picker, asked: PromptSet) -> Selection:
        """What the prompts select, combined with earlier picks, grown or shrunk."""
        selection: Selection | None = None
        if asked.positive or asked.negative:
            selection = self._picked(picker, asked, is_exact=True)
        combinations: list[tuple[Operation, list[str]]] = [
            ("add", self.add),
            ("subtract", self.subtract),
            ("intersect", self.intersect),
        ]
        for operation, names in combinations:
            for name in names:
                earlier = load_selection(find_selection(name, self.scene), picker.scene)
                if selection is not None:
                    selection = combine(selection, earlier, operation)
                elif operation == "add":
                    selection = earlier
        if selection is None:
            raise SplatsegError(
                "nothing is picked",
                expected=(
                    "--at FRAME:X,Y, another prompt (--text, --box, --scribble, --mask, "
                    "--gaussian, --points), or --add with an earlier pick"
                ),
            )
        return grow(selection, picker.scene.gaussians, self.grow)

    def _picked(self, picker: Picker, asked: PromptSet, is_exact: bool) -> Selection:
        selection = picker.pick(
            asked.positive,
            asked.negative,
            asked.level,
            self.threshold,
            self.query_radius,
            is_exact,
        )
        if asked.words is None:
            return selection
        return replace(selection, made=(f"{asked.words!r}, found as {selection.made[0]}",))

    def _objects(
        self, asked: PromptSet, answers: dict[str, list[GroundingVote]]
    ) -> dict[str, PromptSet]:
        """The prompts of many objects, from a file or from words."""
        if asked.positive or asked.negative or self.add or self.subtract or self.intersect:
            raise SplatsegError(
                "--points and several --text select many objects, and no other prompt "
                "goes with them",
                remedy="put all prompts into the file of --points",
            )
        if self.points is None:
            return {words: asked.with_words(words, found) for words, found in answers.items()}
        if answers:
            raise SplatsegError(
                "--points and --text do not go together",
                remedy="pick once with each",
            )
        return read_objects(self.points, self.level)

    def _pick_many(
        self, scene: Scene, asked: PromptSet, answers: dict[str, list[GroundingVote]], out: Output
    ) -> dict[str, Any]:
        """A label map for each view, and the table of what the labels are."""
        objects, folder = self._objects(asked, answers), self._folder()
        training = [frame for frame in scene.frames if not frame.is_test]
        with out.progress("selecting", len(training)) as line:
            picker = Picker(scene, lambda done, total: line.update(done))
            asks = objects.values()
            selections = [self._picked(picker, each, is_exact=False) for each in asks]
        rows = [
            {"id": number, "name": name, "gaussians": int(selection.selected.sum())}
            for number, (name, selection) in enumerate(
                zip(objects, selections, strict=True), start=1
            )
        ]
        with replacing_folder(folder) as new, out.progress("labels", len(scene.frames)) as line:
            for done, frame in enumerate(scene.frames, start=1):
                labels = picker.label_map(selections, frame.name)
                dtype = np.uint8 if len(objects) < 256 else np.uint16
                save_image(new / "labels" / f"{frame.name}.png", labels.astype(dtype))
                line.update(done)
            for row, selection in zip(rows, selections, strict=True):
                save_selection(new / "selections" / f"{row['id']}.safetensors", selection)
            write_bytes(new / "objects.json", json.dumps(rows, indent=1).encode())
            self._write_label_sheet(new, scene, len(objects))
            if self.words.debug:
                self.words.write_debug(new / "debug", scene, answers, picker)
        out.table([{key: str(value) for key, value in row.items()} for row in rows])
        out.wrote(folder / "labels", "a label map per photo: 0 = none, the ids of objects.json")
        out.wrote(folder / "overview.png", "look here first")
        return {"pick": str(folder), "objects": rows}

    def _folder(self) -> Path:
        """Where to write; refuses to put a pick in the place of anything but a pick."""
        is_folder_name = Path(self.name).parts == (self.name,) and self.name != ".."
        if self.output is None and not is_folder_name:
            raise SplatsegError(
                f"--name is {self.name!r}",
                expected="a folder's name, as in cup",
            )
        folder = self.output or self.scene / "picks" / self.name
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        foreign = [name for name in found if name not in WRITTEN and not name.startswith(".")]
        if foreign:
            raise SplatsegError(
                f"{folder} holds {min(foreign)}, which is no part of a pick, and a pick takes the "
                "place of the whole folder",
                remedy="choose a new one with -o or --name",
            )
        return folder

    def _write_sheet(
        self,
        path: Path,
        scene: Scene,
        clicks: list[PointPrompt],
        pixels: dict[str, int],
        folder: Path,
    ) -> None:
        """The clicked photos, ringed, and a spread of views with the object highlighted."""
        frames = {frame.name: frame for frame in scene.frames}
        clicked = dict.fromkeys(click.frame for click in clicks)
        others = [name for name in pixels if name not in clicked]
        seen = [name for name in others if pixels[name] > 0] or others
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
        save_image(path, montage(rows, [caption], SHEET_CELL))

    def _cell(
        self, scene: Scene, frame: Frame, folder: Path, clicks: list[PointPrompt]
    ) -> np.ndarray:
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

    def _write_label_sheet(self, folder: Path, scene: Scene, count: int) -> None:
        """A spread of views, each beside its label map."""
        frames = scene.frames
        chosen = np.linspace(0, len(frames) - 1, min(SHEET_COLUMNS, len(frames))).astype(int)
        rows = []
        for frame in [frames[i] for i in chosen]:
            photo = scaled(photo_or_render(scene, frame), SHEET_CELL)
            height, width = photo.shape[:2]
            labels = read_label_map(folder / "labels" / f"{frame.name}.png")
            ids = resize(labels, width, height, nearest=True)
            rows.append([photo, number_labels(paint_labels(ids, count), ids)])
        captions = ["photo", "objects, with their ids"]
        save_image(folder / "overview.png", montage(rows, captions, SHEET_CELL))
