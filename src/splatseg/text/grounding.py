"""Grounding: what a prompt means in images of a scene, and which of the answers agree on it.

An answer in one image is what the paper asks for; a detector errs, and several images vote.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from splatseg.masks.config import Level
from splatseg.models.detector import Detection, Detector
from splatseg.models.segmenter import Segmenter
from splatseg.segmentation import THRESHOLD, BoxPrompt, MaskPrompt, NothingCovered, Picker
from splatseg.text.box_masks import detection_masks


@runtime_checkable
class BoxSource(Protocol):
    """What finds prompts in the frames of a scene: a detector, or a file of what one found."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def find(
        self, frame: str, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """What each prompt finds in a frame, best first; `image` is its photo or a rendering."""
        ...


@dataclass(frozen=True)
class DetectorSource:
    """A detector as a source of boxes: it looks at the image."""

    detector: Detector

    @property
    def name(self) -> str:
        """The model's."""
        return self.detector.name

    def find(
        self, frame: str, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """See `BoxSource.find`."""
        return self.detector.detect(image, prompts)


@dataclass(frozen=True, eq=False)
class Grounding:
    """What a prompt means in a frame."""

    frame: str
    detections: tuple[Detection, ...]
    """Best first; the first is what it means."""
    mask: Bool[np.ndarray, "h w"] | None
    """Of the photo's size; None where only a box is known."""

    @property
    def score(self) -> float:
        """The best detection's."""
        return self.detections[0].score

    @property
    def region(self) -> BoxPrompt | MaskPrompt:
        """The prompt for a picker."""
        if self.mask is None:
            return BoxPrompt(self.frame, *self.detections[0].box)
        return MaskPrompt(self.frame, self.mask)


@dataclass(frozen=True)
class GroundingVote:
    """A view's answer to a prompt."""

    grounding: Grounding
    agrees: bool
    """Whether it means what most of the views mean."""


@dataclass(frozen=True)
class Grounder:
    """A source of boxes, and a segmenter that draws masks in those that have none."""

    source: BoxSource
    segmenter: Segmenter | None = None

    @property
    def name(self) -> str:
        """What records call it."""
        return self.source.name + (f", {self.segmenter.name}" if self.segmenter else "")

    def ground(
        self, frame: str, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> dict[str, Grounding]:
        """What each prompt means in one frame; prompts that find nothing are left out.

        A box that the segmenter sees nothing in stays a box.
        """
        answers = zip(prompts, self.source.find(frame, image, prompts), strict=True)
        inside = {prompt: [one for one in found if one.has_area] for prompt, found in answers}
        found = {prompt: detections for prompt, detections in inside.items() if detections}
        best = [detections[0] for detections in found.values()]
        if self.segmenter is None:
            masks = [detection.mask for detection in best]
        else:
            drawn = detection_masks(best, image, self.segmenter)
            masks = [mask if mask.any() else None for mask in drawn]
        return {
            prompt: Grounding(frame, tuple(detections), mask)
            for (prompt, detections), mask in zip(found.items(), masks, strict=True)
        }


def ground_in_views(
    picker: Picker,
    grounder: Grounder,
    prompts: Sequence[str],
    images: Iterable[tuple[str, UInt8[np.ndarray, "_ _ 3"]]],
    level: Level = "whole",
    threshold: float = THRESHOLD,
) -> dict[str, list[GroundingVote]]:
    """What each prompt means in several frames, and which of them agree.

    `images` are frames' names with their photos or renderings. An answer where nothing was
    reconstructed counts for nothing; a prompt without any other has an empty list.
    """
    answers: dict[str, list[Grounding]] = {prompt: [] for prompt in prompts}
    instances: dict[str, list[Tensor]] = {prompt: [] for prompt in prompts}
    for frame, image in images:
        for prompt, grounding in grounder.ground(frame, image, prompts).items():
            with suppress(NothingCovered):
                queries = picker.queries([grounding.region], (), level, threshold)
                instances[prompt].append(queries.positive)
                answers[prompt].append(grounding)
    return {
        prompt: _voted(found, agreeing(instances[prompt], [one.score for one in found], threshold))
        for prompt, found in answers.items()
    }


def _voted(found: Sequence[Grounding], agreed: Collection[int]) -> list[GroundingVote]:
    return [GroundingVote(grounding, index in agreed) for index, grounding in enumerate(found)]


def agreeing(
    queries: Sequence[Float[Tensor, "_ f"]], scores: Sequence[float], threshold: float
) -> list[int]:
    """Which of several answers mean the object that most of them mean, by their scores.

    `queries` are the unit features of the instances in each answer. Two answers agree where two of
    their instances are similar by `threshold` (Eq. 6). The answer that those with the largest sum
    of scores agree with wins, the first of equals, and brings these with it.
    """
    if not queries:
        return []
    agree = torch.tensor(
        [[float((one @ other.T).max()) >= threshold for other in queries] for one in queries]
    )
    support = agree.double() @ torch.tensor(scores, dtype=torch.float64)
    return torch.nonzero(agree[support.argmax()]).flatten().tolist()
