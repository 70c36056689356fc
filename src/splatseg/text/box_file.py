"""Boxes that a person or another program drew for prompts, in place of a detector's.

    {"frame_00012": [{"prompt": "red mug", "box": [120, 88, 210.5, 190], "score": 0.9}]}

By frame of the scene. Boxes are x0, y0, x1, y1 in pixels of the photo as shipped; what lies beyond
the photo is cut off. A score may be left out, and is 1 then. Prompts match whatever their case.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.models.detector import Box, Detection, clipped, plain

SHAPE = '{"<frame>": [{"prompt": "red mug", "box": [x0, y0, x1, y1], "score": 0.9}, ...]}'


class BoxFile:
    """The boxes in a file; `sizes` are (width, height) of each frame's photo as shipped."""

    def __init__(self, path: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
        self.name = path.name
        self._detections: dict[str, list[Detection]] = {}
        for frame, entries in _read_object(path).items():
            if frame not in sizes:
                raise SplatsegError(
                    f"{path} has boxes of {frame!r}, which is no frame of the scene",
                    expected=f"frames such as {min(sizes)}",
                )
            if not isinstance(entries, list):
                raise SplatsegError(
                    f"{path}: {frame} has no list of boxes",
                    expected=f"{SHAPE}",
                )
            self._detections[frame] = [
                _read_entry(entry, f"{path}: box {number} of {frame}", sizes[frame])
                for number, entry in enumerate(entries, start=1)
            ]

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt that has a box, in plain form."""
        found = {plain(box.prompt) for of_frame in self._detections.values() for box in of_frame}
        return tuple(sorted(found))

    def frames(self, prompt: str) -> list[str]:
        """Those that have a box of the prompt."""
        wanted = plain(prompt)
        return [
            frame
            for frame, boxes in self._detections.items()
            if any(plain(box.prompt) == wanted for box in boxes)
        ]

    def find(
        self, frame: str, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """Each prompt's boxes in a frame, best first."""
        boxes = sorted(self._detections.get(frame, []), key=lambda box: -box.score)
        return [[box for box in boxes if plain(box.prompt) == plain(prompt)] for prompt in prompts]


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path, SHAPE)
    if not isinstance(content, dict):
        raise SplatsegError(
            f"{path} is no JSON object",
            expected=f"{SHAPE}",
        )
    return content


def _read_entry(entry: Any, place: str, size: tuple[int, int]) -> Detection:
    if not isinstance(entry, dict):
        raise SplatsegError(
            f"{place} is {entry!r}",
            expected=f"an object such as in {SHAPE}",
        )
    prompt, score = entry.get("prompt"), entry.get("score", 1.0)
    if not isinstance(prompt, str) or not prompt.strip():
        raise SplatsegError(
            f"{place} has the prompt {prompt!r}",
            expected="words",
        )
    if not _is_number(score) or not 0 <= score <= 1:
        raise SplatsegError(
            f"{place} has the score {score!r}",
            expected="a number from 0 to 1",
        )
    return Detection(_read_box(entry.get("box"), place, size), float(score), prompt)


def _read_box(box: Any, place: str, size: tuple[int, int]) -> Box:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise SplatsegError(
            f"{place} has the box {box!r}",
            expected="four numbers x0, y0, x1, y1",
        )
    x0, y0, x1, y1 = box
    if x0 >= x1 or y0 >= y1:
        raise SplatsegError(
            f"{place} has the box {box}, which has no area",
            expected="x0, y0, x1, y1 with x0 < x1 and y0 < y1, not a width and a height",
        )
    width, height = size
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise SplatsegError(
            f"{place} has the box {box}, which lies outside the photo of {width}x{height}",
            expected="pixels of the photo as shipped",
        )
    return clipped(np.array([box], dtype=np.float64), width, height)[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
