"""Prompts as text: FRAME:X,Y and its like, and many objects in one file.

Whole numbers of a point name a pixel, so they mean its center; a box's are its edges.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.masks import read_label_map
from splatseg.masks.config import LEVELS, Level
from splatseg.segmentation.prompts import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptSet,
    ScribblePrompt,
)

NUMBER = r"\d+(?:\.\d*)?"
EXPECTED = 'the prompts of objects by name: {"cup": {"at": ["frame_00012:320,240"]}, ...}'
KINDS = ("at", "not_at", "box", "scribble", "mask", "gaussian")  # of an object in a file


def parse_prompts(
    at: Sequence[str] = (),
    not_at: Sequence[str] = (),
    box: Sequence[str] = (),
    scribble: Sequence[str] = (),
    mask: Sequence[str] = (),
    gaussian: Sequence[int] = (),
    level: Level = "whole",
) -> PromptSet:
    """All prompts of one object.

    Args:
        at: FRAME:X,Y of points on the object.
        not_at: the same, on what does not belong to it.
        box: FRAME:X0,Y0,X1,Y1.
        scribble: FRAME:X,Y,X,Y,... of two points or more.
        mask: FRAME:FILE, an image whose pixels above 0 are the mask.
        gaussian: rows of Gaussians, from 0.

    Raises:
        SplatsegError: a text does not have its form, or a mask cannot be read.
    """
    positive: list[Prompt] = [parse_point(text) for text in at]
    positive += [parse_box(text) for text in box]
    positive += [parse_scribble(text) for text in scribble]
    positive += [parse_mask(text) for text in mask]
    positive += [GaussianPrompt(index) for index in gaussian]
    return PromptSet(positive, [parse_point(text, "not_at") for text in not_at], level)


def parse_point(text: str, parameter: str = "at") -> PointPrompt:
    """FRAME:X,Y; `parameter` is what errors call it."""
    frame, numbers = _split(text, parameter, "FRAME:X,Y, as in frame_00012:320,240", {2})
    x, y = map(_center, numbers)
    return PointPrompt(frame, x, y)


def parse_box(text: str) -> BoxPrompt:
    """FRAME:X0,Y0,X1,Y1."""
    example = "FRAME:X0,Y0,X1,Y1, as in frame_00012:280,200,360,290"
    frame, numbers = _split(text, "box", example, {4})
    return BoxPrompt(frame, *map(float, numbers))


def parse_scribble(text: str) -> ScribblePrompt:
    """FRAME:X,Y,X,Y,... of two points or more."""
    example = "FRAME:X,Y,X,Y,..., as in frame_00012:300,220,320,240"
    frame, numbers = _split(text, "scribble", example, set(range(4, 10_000, 2)))
    places = [_center(number) for number in numbers]
    return ScribblePrompt(frame, tuple(zip(places[::2], places[1::2], strict=True)))


def parse_mask(text: str) -> MaskPrompt:
    """FRAME:FILE, whose pixels above 0 are the mask."""
    frame, _, path = text.partition(":")
    if not path:
        raise SplatsegError(f"`mask` {text} is not FRAME:FILE, as in frame_00012:cup.png")
    return MaskPrompt(frame, read_label_map(Path(path)) > 0)


def read_objects(path: Path, level: Level) -> dict[str, PromptSet]:
    """The objects of a JSON file, by name; `level` is that of those that name none.

    Each is {"at": ["FRAME:X,Y"], "not_at": [...], "box": [...], "scribble": [...], "mask": [...],
    "gaussian": [ID]}, all of them optional, and "level".

    Raises:
        SplatsegError: the file cannot be read, or has something else in it.
    """
    content = read_json(path, EXPECTED)
    if not isinstance(content, Mapping) or not content:
        raise SplatsegError(f"{path} lists no objects", expected=EXPECTED)
    return {str(name): _object(path, str(name), entry, level) for name, entry in content.items()}


def _object(path: Path, name: str, entry: Any, level: Level) -> PromptSet:
    if not isinstance(entry, Mapping):
        raise SplatsegError(f"{path}: {name} is no object", expected='{"at": ["FRAME:X,Y"]}')
    unknown = [key for key in entry if key not in (*KINDS, "level")]
    if unknown:
        raise SplatsegError(
            f"{path}: {name} has {unknown[0]!r}", expected=", ".join((*KINDS, "level"))
        )
    if entry.get("level", level) not in LEVELS:
        raise SplatsegError(
            f"{path}: {name} has level {entry['level']!r}", expected=", ".join(LEVELS)
        )
    for kind in KINDS:
        wanted = int if kind == "gaussian" else str
        values = entry.get(kind, [])
        if not isinstance(values, list) or not all(isinstance(v, wanted) for v in values):
            what = "numbers" if kind == "gaussian" else "texts"
            raise SplatsegError(f"{path}: {kind} of {name} is not a list of {what}")
    try:
        prompts = parse_prompts(
            **{kind: entry.get(kind, []) for kind in KINDS}, level=entry.get("level", level)
        )
    except SplatsegError as error:
        # What is wrong is a key of the file, not a parameter.
        raise SplatsegError(f"{path}: {name}: {error}".replace("`", "")) from error
    if not prompts.positive:
        raise SplatsegError(
            f"{path}: {name} has no prompt for what to select", remedy="give it an at"
        )
    return prompts


def _split(text: str, parameter: str, form: str, counts: set[int]) -> tuple[str, list[str]]:
    """The frame and the numbers of FRAME:N,N,..."""
    match = re.fullmatch(rf"(.+):({NUMBER}(?:,{NUMBER})*)", text)
    numbers = match[2].split(",") if match else []
    if match is None or len(numbers) not in counts:
        raise SplatsegError(f"`{parameter}` {text} is not {form}")
    return match[1], numbers


def _center(number: str) -> float:
    return float(number) + (0.5 if number.isdigit() else 0.0)
