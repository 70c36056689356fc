"""Picking: from prompts to an object's masks in every photo, and its Gaussians."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder, write_bytes
from splatseg.images import save_image, save_mask
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene, load_scene, write_ply
from splatseg.scene.photos import evenly_spaced
from splatseg.segmentation import (
    QUERY_RADIUS,
    THRESHOLD,
    Operation,
    Picker,
    PointPrompt,
    PromptSet,
    Selection,
    combine,
    grow,
    load_selection,
    save_selection,
)
from splatseg.segmentation.packed_mask import PackedMask
from splatseg.segmentation.prompt_text import read_objects
from splatseg.text import GroundingVote
from splatseg.viz.objects import label_montage
from splatseg.viz.picks import CELL, COLUMNS, pick_montage, votes_montage
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device
from splatseg.workflows.grounding import TextPrompts, ground_text
from splatseg.workflows.selections import SELECTION, find_selection

WRITTEN = {"masks", "gaussians.ply", SELECTION, "overview.png", "debug"}
WRITTEN |= {"labels", "selections", "objects.json"}  # of many objects
OVERVIEW_VIEWS = 6

Votes = Mapping[str, Sequence[GroundingVote]]


@dataclass(frozen=True)
class PickOptions:
    """How prompts select, and where a pick is written."""

    level: Level = "whole"
    """What words, and objects of a file that name no level, mean."""
    threshold: float = THRESHOLD
    """Cosine similarity to a prompt, in [-1, 1], from which a pixel belongs to the object."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0 or more."""
    name: str = "object"
    """Of the pick: the folder picks/NAME of the scene."""
    output: Path | None = None
    """Folder to write instead."""
    debug: bool = False
    """Keep a picture for each text of what was found where, and what it selects."""
    device: Device = "auto"


@dataclass(frozen=True)
class PickResult:
    """A picked object."""

    folder: Path
    """With masks/FRAME.png, gaussians.ply if there are any, selection.safetensors, overview.png."""
    gaussians: int
    """That belong to it by half or more."""
    pixels: dict[str, int]
    """Of its mask in each frame."""
    level: Level | None
    """Whose features told the prompts apart; None if earlier picks had a part in it."""

    def to_json(self) -> dict[str, Any]:
        """What `splatseg pick --json` prints."""
        return {"pick": str(self.folder), "gaussians": self.gaussians, "pixels": self.pixels}


@dataclass(frozen=True)
class PickedObjects:
    """Several picked objects."""

    folder: Path
    """With labels/FRAME.png, selections/ID.safetensors, objects.json, overview.png."""
    objects: list[dict[str, Any]]
    """A row for each: id, from 1, name, gaussians."""

    def to_json(self) -> dict[str, Any]:
        """What `splatseg pick --json` prints."""
        return {"pick": str(self.folder), "objects": self.objects}


def pick(
    scene: Path,
    prompts: PromptSet | None = None,
    *,
    text: TextPrompts | None = None,
    add: Sequence[str] = (),
    subtract: Sequence[str] = (),
    intersect: Sequence[str] = (),
    grow_by: int = 0,
    options: PickOptions | None = None,
    progress: Progress = SILENT,
) -> PickResult:
    """Pick one object: its mask in every photo, and its Gaussians.

    Args:
        scene: the folder, as training wrote it.
        prompts: what points at the object.
        text: words for it, one text; what they mean joins the positive prompts.
        add: earlier picks of the scene, by name or file, to add to what the prompts select.
        subtract: the same, to take away.
        intersect: the same, to keep what is in both.
        grow_by: Gaussians on all sides; below 0 the selection shrinks.
        options: by default `PickOptions()`.
        progress: told of the stages "looking", "selecting" and "masks". Canceled, nothing is
            written.

    Raises:
        NothingFound: the words mean nothing.
        SplatsegError: nothing is picked, a prompt points at nothing, an earlier pick does not exist
            or is of another scene, or the folder to write holds something else than a pick.
    """
    options, text = options or PickOptions(), text or TextPrompts()
    prompts = prompts or PromptSet(level=options.level)
    combinations: dict[Operation, Sequence[str]] = {
        "add": add,
        "subtract": subtract,
        "intersect": intersect,
    }
    picker, folder = _prepare(scene, options, progress)
    votes = _ground(picker, text, options, progress)
    for words, found in votes.items():
        prompts = _with_words(prompts, words, found)
    is_final = grow_by == 0 and not any(combinations.values())
    selection: Selection | None = None
    if prompts.positive or prompts.negative:
        selection = _select(picker, prompts, options, is_exact=True, keep_masks=is_final)
    selection = _combine(picker.scene, scene, selection, combinations)
    selection = grow(selection, picker.scene.gaussians, grow_by)
    with replacing_folder(folder) as new:
        masks = _write_masks(new / "masks", picker, selection, progress)
        count = int(selection.selected.sum())
        if count > 0:
            write_ply(new / "gaussians.ply", picker.scene.gaussians.select(selection.selected))
        save_selection(new / SELECTION, selection)
        clicks = [prompt for prompt in prompts.positive if isinstance(prompt, PointPrompt)]
        shown = {name: masks[name].unpack() for name in _overview_views(masks, clicks)}
        overview = pick_montage(picker.scene, shown, clicks, options.name)
        save_image(new / "overview.png", overview)
        _write_debug(new / "debug", picker, text, votes, options)
    level = None if selection.queries is None else selection.queries.level
    return PickResult(folder, count, {name: mask.area for name, mask in masks.items()}, level)


def pick_objects(
    scene: Path,
    objects: Mapping[str, PromptSet] | Path | None = None,
    *,
    text: TextPrompts | None = None,
    options: PickOptions | None = None,
    progress: Progress = SILENT,
) -> PickedObjects:
    """Pick several objects: a label map for every photo.

    Args:
        scene: the folder, as training wrote it.
        objects: prompts by the objects' names, or a JSON file of them: see `read_objects`.
        text: words in their place, one object for each text.
        options: by default `PickOptions()`.
        progress: told of the stages "looking", "selecting" and "labels". Canceled, nothing is
            written.

    Raises:
        NothingFound: some of the words mean nothing.
        SplatsegError: as `pick`; or the file is malformed.
    """
    options, text = options or PickOptions(), text or TextPrompts()
    asked = read_objects(objects, options.level) if isinstance(objects, Path) else objects or {}
    picker, folder = _prepare(scene, options, progress)
    votes = _ground(picker, text, options, progress)
    found = {
        words: _with_words(PromptSet(level=options.level), words, each)
        for words, each in votes.items()
    }
    selections = {
        name: _select(picker, prompts, options) for name, prompts in {**asked, **found}.items()
    }
    if not selections:
        raise SplatsegError("nothing is picked", expected="prompts of some objects, or `text`")
    rows = [
        {"id": number, "name": name, "gaussians": int(selection.selected.sum())}
        for number, (name, selection) in enumerate(selections.items(), start=1)
    ]
    with replacing_folder(folder) as new:
        shown = _write_labels(new / "labels", picker, list(selections.values()), progress)
        for row, selection in zip(rows, selections.values(), strict=True):
            save_selection(new / "selections" / f"{row['id']}.safetensors", selection)
        write_bytes(new / "objects.json", json.dumps(rows, indent=1).encode())
        overview = label_montage(picker.scene, shown, len(rows), CELL)
        save_image(new / "overview.png", overview)
        _write_debug(new / "debug", picker, text, votes, options)
    return PickedObjects(folder, rows)


def _prepare(scene: Path, options: PickOptions, progress: Progress) -> tuple[Picker, Path]:
    """A picker of the scene, and the folder to write."""
    if not -1 <= options.threshold <= 1:
        raise SplatsegError(f"`threshold` is {options.threshold}", expected="a cosine in [-1, 1]")
    loaded = load_scene(scene).to(choose_device(options.device))
    return Picker(loaded, progress), _pick_folder(scene, options.name, options.output)


def _pick_folder(scene: Path, name: str, output: Path | None) -> Path:
    """Where to write; refuses to put a pick in the place of anything but a pick."""
    is_folder_name = Path(name).parts == (name,) and name != ".."
    if output is None and not is_folder_name:
        raise SplatsegError(f"`name` is {name!r}", expected="a folder's name, as in cup")
    folder = output or scene / "picks" / name
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    foreign = [one for one in found if one not in WRITTEN and not one.startswith(".")]
    if foreign:
        raise SplatsegError(
            f"{folder} holds {min(foreign)}, which is no part of a pick, and a pick takes the "
            "place of the whole folder",
            remedy="choose a new one with `output` or `name`",
        )
    return folder


def _ground(picker: Picker, text: TextPrompts, options: PickOptions, progress: Progress) -> Votes:
    if not text.text:
        return {}
    return ground_text(picker, text, options.level, options.threshold, progress)


def _with_words(prompts: PromptSet, words: str, votes: Sequence[GroundingVote]) -> PromptSet:
    """The prompts with what words mean in the views that agree."""
    regions = [vote.grounding.region for vote in votes if vote.agrees]
    return replace(prompts, positive=[*prompts.positive, *regions], words=words)


def _select(
    picker: Picker,
    prompts: PromptSet,
    options: PickOptions,
    is_exact: bool = False,
    keep_masks: bool = False,
) -> Selection:
    selection = picker.pick(
        prompts.positive,
        prompts.negative,
        prompts.level,
        options.threshold,
        options.query_radius,
        is_exact,
        keep_masks,
    )
    if prompts.words is None:
        return selection
    return replace(selection, made=(f"{prompts.words!r}, found as {selection.made[0]}",))


def _combine(
    scene: Scene,
    folder: Path,
    selection: Selection | None,
    combinations: Mapping[Operation, Sequence[str]],
) -> Selection:
    """What prompts select, if anything, combined with earlier picks."""
    for operation, names in combinations.items():
        for name in names:
            earlier = load_selection(find_selection(name, folder), scene)
            if selection is not None:
                selection = combine(selection, earlier, operation)
            elif operation == "add":
                selection = earlier
    if selection is None:
        raise SplatsegError(
            "nothing is picked",
            expected="`at` FRAME:X,Y, another prompt (`text`, `box`, `scribble`, `mask`, "
            "`gaussian`, `points`), or `add` with an earlier pick",
        )
    return selection


def _write_masks(
    folder: Path, picker: Picker, selection: Selection, progress: Progress
) -> dict[str, PackedMask]:
    """Write a PNG for each frame: the masks."""
    masks = {}
    for name, mask in picker.masks(selection):
        save_mask(folder / f"{name}.png", mask)
        masks[name] = PackedMask(mask)
        progress.update("masks", len(masks), len(picker.scene.frames))
    return masks


def _write_labels(
    folder: Path, picker: Picker, selections: Sequence[Selection], progress: Progress
) -> dict[str, np.ndarray]:
    """Write a label map for each frame: those of a few frames, by name."""
    frames = picker.scene.frames
    chosen = {frame.name for frame in evenly_spaced(frames, COLUMNS)}
    dtype, kept = np.uint8 if len(selections) < 256 else np.uint16, {}
    for done, frame in enumerate(frames, start=1):
        labels = picker.label_map(selections, frame.name).astype(dtype)
        save_image(folder / f"{frame.name}.png", labels)
        if frame.name in chosen:
            kept[frame.name] = labels
        progress.update("labels", done, len(frames))
    return kept


def _overview_views(masks: Mapping[str, PackedMask], clicks: Sequence[PointPrompt]) -> list[str]:
    """The clicked frames, then a spread of those that show the object."""
    clicked = list(dict.fromkeys(click.view for click in clicks if isinstance(click.view, str)))
    others = [name for name in masks if name not in clicked]
    shown = [name for name in others if masks[name].area > 0] or others
    return [*clicked, *evenly_spaced(shown, max(1, OVERVIEW_VIEWS - len(clicked)))]


def _write_debug(
    folder: Path, picker: Picker, text: TextPrompts, votes: Votes, options: PickOptions
) -> None:
    if not options.debug:
        return
    for number, (words, found) in enumerate(votes.items(), start=1):
        picture = votes_montage(picker, words, found, text.image)
        save_image(folder / f"{number}.png", picture)
