"""From words to prompts: what finds the object that words mean, and what views agree on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8

from splatseg.capture import Frame
from splatseg.errors import NothingFound, SplatsegError
from splatseg.evaluation.views import photo_sizes
from splatseg.images import RGB
from splatseg.masks.config import Level
from splatseg.models.detectors import DEFAULT_DETECTOR, load_detector
from splatseg.models.segmenters import load_segmenter
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene
from splatseg.scene.photos import evenly_spaced, photo_or_render, render_as_photo
from splatseg.segmentation import THRESHOLD, Picker
from splatseg.text import (
    BoxFile,
    BoxSource,
    DetectorSource,
    Grounder,
    GroundingVote,
    ground_in_views,
)

VIEWS = 5  # that are looked at unless some are named: enough to outvote a mistake


@dataclass(frozen=True)
class GroundingOptions:
    """What finds the object that words mean."""

    detector: str | None = None
    """A model: a folder, or an id of the Hugging Face hub. None for the default one."""
    boxes: Path | None = None
    """A JSON file of boxes in place of a detector: see `BoxFile`."""
    min_score: float | None = None
    """A detection's least score, in [0, 1]. None for the detector's usual one."""
    sam: str | None = None
    """A segmenter that draws the mask in a box: a folder or an id. None for the box itself."""


@dataclass(frozen=True)
class TextPrompts:
    """Words, and where to look for what they mean."""

    text: Sequence[str] = ()
    """What objects are, in words: 'red mug'."""
    text_in: Sequence[str] = ()
    """Frames to look in, which vote. By default those with boxes, or some training views."""
    text_on: Literal["photo", "render"] = "photo"
    """Look at photos, or at what the scene shows in their place."""
    options: GroundingOptions = GroundingOptions()

    @property
    def texts(self) -> list[str]:
        """Each text once."""
        return list(dict.fromkeys(self.text))

    def image(self, scene: Scene, frame: Frame) -> RGB:
        """What is looked at in a frame, on the photo's grid."""
        return (photo_or_render if self.text_on == "photo" else render_as_photo)(scene, frame)


def open_box_source(scene: Scene, options: GroundingOptions, device: torch.device) -> BoxSource:
    """A file of boxes, else the detector: the default one if none is named.

    Raises:
        SplatsegError: both are given, or one cannot be loaded.
    """
    if options.boxes is None:
        model = options.detector or DEFAULT_DETECTOR
        detector = load_detector(model, device=device, min_score=options.min_score)
        return DetectorSource(detector)
    if options.detector or options.min_score is not None:
        raise SplatsegError(
            "`boxes` are what a detector found, so `detector` and `min_score` do not go with it",
            remedy="leave them or `boxes` away",
        )
    return BoxFile(options.boxes, photo_sizes(scene.frames))


def make_grounder(scene: Scene, options: GroundingOptions, device: torch.device) -> Grounder:
    """The source of boxes, with the segmenter if one is named; raises as `open_box_source`."""
    source = open_box_source(scene, options, device)
    if options.sam is None:
        return Grounder(source)
    return Grounder(source, load_segmenter(options.sam, device=device))


def ground_text(
    picker: Picker,
    prompts: TextPrompts,
    level: Level = "whole",
    threshold: float = THRESHOLD,
    progress: Progress = SILENT,
) -> dict[str, list[GroundingVote]]:
    """What each text means in the views that show it, and which views agree.

    Args:
        picker: of the scene, on the device that models run on, too.
        level: what a region means: whole objects, parts or subparts.
        threshold: the cosine from which two views mean the same object.
        progress: told of the stage "looking", a step for each view.

    Raises:
        NothingFound: a text means nothing in any of these views.
        SplatsegError: a frame or a model does not exist.
    """
    scene = picker.scene
    grounder = make_grounder(scene, prompts.options, scene.gaussians.means.device)
    frames = [scene.frame(name) for name in _frames(scene, grounder.source, prompts)]

    def images() -> Iterator[tuple[str, UInt8[np.ndarray, "_ _ 3"]]]:
        for done, frame in enumerate(frames, start=1):
            yield frame.name, prompts.image(scene, frame)
            progress.update("looking", done, len(frames))

    votes = ground_in_views(picker, grounder, prompts.texts, images(), level, threshold)
    missing = [text for text, found in votes.items() if not found]
    if missing:
        has_detector = isinstance(grounder.source, DetectorSource)
        raise NothingFound(
            f"{grounder.name} finds no {' and no '.join(map(repr, missing))} in "
            f"{', '.join(frame.name for frame in frames)}",
            remedy="look in other views with `text_in`, or say it in other words"
            + (", or lower `min_score`" if has_detector else ""),
        )
    return votes


def _frames(scene: Scene, source: BoxSource, prompts: TextPrompts) -> list[str]:
    """Those named, else those a file has boxes of, else training views, spread."""
    if prompts.text_in:
        return list(dict.fromkeys(prompts.text_in))
    if not isinstance(source, BoxFile):
        return [frame.name for frame in evenly_spaced(scene.train, VIEWS)]
    frames = dict.fromkeys(frame for text in prompts.texts for frame in source.frames(text))
    if not frames:
        raise NothingFound(
            f"{source.name} has no box of {' or '.join(map(repr, prompts.texts))}",
            remedy=f"it has boxes of {', '.join(source.prompts) or 'nothing'}",
        )
    return list(frames)
