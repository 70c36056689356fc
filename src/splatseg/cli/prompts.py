"""Prompts as they are typed: FRAME:X,Y and its like, and many objects in one file.

Whole numbers of a point name a pixel, so they mean its center; a box's are its edges.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.masks import read_label_map
from splatseg.masks.config import LEVELS, Level
from splatseg.segmentation import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
)
from splatseg.text import GroundingVote

NUMBER = r"\d+(?:\.\d*)?"
EXPECTED = 'the prompts of objects by name: {"cup": {"at": ["frame_00012:320,240"]}, ...}'
KINDS = ("at", "not_at", "box", "scribble", "mask", "gaussian")  # of an object in a file


@dataclass(frozen=True)
class PromptSet:
    """The prompts for one object."""

    positive: Sequence[Prompt]
    negative: Sequence[Prompt]
    level: Level
    words: str | None = None
    """That some of the positive prompts were found by."""

    def with_words(self, words: str, found: Sequence[GroundingVote]) -> "PromptSet":
        """The same with what the words mean in views that agree."""
        regions = [answer.grounding.region for answer in found if answer.agrees]
        return replace(self, positive=[*self.positive, *regions], words=words)


def parse_click(text: str, flag: str = "--at") -> PointPrompt:
    """FRAME:X,Y."""
    frame, numbers = _split(text, flag, "FRAME:X,Y, as in frame_00012:320,240", {2})
    x, y = (_center(number) for number in numbers)
    return PointPrompt(frame, x, y)


def parse_box(text: str) -> BoxPrompt:
    """FRAME:X0,Y0,X1,Y1."""
    example = "FRAME:X0,Y0,X1,Y1, as in frame_00012:280,200,360,290"
    frame, numbers = _split(text, "--box", example, {4})
    return BoxPrompt(frame, *(float(number) for number in numbers))


def parse_scribble(text: str) -> ScribblePrompt:
    """FRAME:X,Y,X,Y,... of two points or more."""
    example = "FRAME:X,Y,X,Y,..., as in frame_00012:300,220,320,240"
    frame, numbers = _split(text, "--scribble", example, set(range(4, 10_000, 2)))
    places = [_center(number) for number in numbers]
    return ScribblePrompt(frame, tuple(zip(places[::2], places[1::2], strict=True)))


def parse_mask(text: str) -> MaskPrompt:
    """FRAME:FILE, whose pixels above 0 are the mask."""
    frame, _, path = text.partition(":")
    if not path:
        raise SplatsegError(f"--mask {text} is not FRAME:FILE, as in frame_00012:cup.png")
    return MaskPrompt(frame, read_label_map(Path(path)) > 0)


def prompts_for(
    at: Sequence[str] = (),
    not_at: Sequence[str] = (),
    box: Sequence[str] = (),
    scribble: Sequence[str] = (),
    mask: Sequence[str] = (),
    gaussian: Sequence[int] = (),
    level: Level = "whole",
) -> PromptSet:
    """All prompts of one object."""
    positive: list[Prompt] = [parse_click(text) for text in at]
    positive += [parse_box(text) for text in box]
    positive += [parse_scribble(text) for text in scribble]
    positive += [parse_mask(text) for text in mask]
    positive += [GaussianPrompt(index) for index in gaussian]
    return PromptSet(positive, [parse_click(text, "--not-at") for text in not_at], level)


def read_objects(path: Path, level: Level) -> dict[str, PromptSet]:
    """The objects of a JSON file, by name; `level` is that of those that name none.

    Each is {"at": ["FRAME:X,Y"], "not_at": [...], "box": [...], "scribble": [...], "mask": [...],
    "gaussian": [ID]}, all of them optional, and "level".
    """
    content = read_json(path, EXPECTED)
    if not isinstance(content, Mapping) or not content:
        raise SplatsegError(
            f"{path} lists no objects",
            expected=EXPECTED,
        )
    return {str(name): _object(path, str(name), entry, level) for name, entry in content.items()}


def _object(path: Path, name: str, entry: Any, level: Level) -> PromptSet:
    if not isinstance(entry, Mapping):
        raise SplatsegError(
            f"{path}: {name} is no object",
            expected='{"at": ["FRAME:X,Y"]}',
        )
    unknown = [key for key in entry if key not in (*KINDS, "level")]
    if unknown:
        expected = ", ".join((*KINDS, "level"))
        raise SplatsegError(
            f"{path}: {name} has {unknown[0]!r}",
            expected=f"{expected}",
        )
    if entry.get("level", level) not in LEVELS:
        raise SplatsegError(
            f"{path}: {name} has level {entry['level']!r}",
            expected=f"{', '.join(LEVELS)}",
        )
    for kind in KINDS:
        wanted = int if kind == "gaussian" else str
        values = entry.get(kind, [])
        if not isinstance(values, list) or not all(isinstance(v, wanted) for v in values):
            what = "numbers" if kind == "gaussian" else "texts"
            raise SplatsegError(f"{path}: {kind} of {name} is not a list of {what}")
    asked = prompts_for(
        **{kind: entry.get(kind, []) for kind in KINDS}, level=entry.get("level", level)
    )
    if not asked.positive:
        raise SplatsegError(
            f"{path}: {name} has no prompt for what to select",
            remedy="give it an at",
        )
    return asked


def _split(text: str, flag: str, example: str, counts: set[int]) -> tuple[str, list[str]]:
    """The frame and the numbers of FRAME:N,N,..."""
    match = re.fullmatch(rf"(.+):({NUMBER}(?:,{NUMBER})*)", text)
    numbers = match[2].split(",") if match else []
    if match is None or len(numbers) not in counts:
        raise SplatsegError(f"{flag} {text} is not {example}")
    return match[1], numbers


def _center(number: str) -> float:
    return float(number) + (0.5 if number.isdigit() else 0.0)
