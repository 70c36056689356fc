"""What a person or a program can point with, and the features that it points at.

Places are pixels of the photo as shipped; (0.5, 0.5) is the first pixel's center.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.feature_maps import FeatureMap, similarity_map
from splatseg.segmentation.grouping import group_similar

SAMPLES = 2000  # pixels of a region that are looked at
MIN_GAIN = 0.1  # of IoU with a mask, to mean one more thing: edges look like things of their own
MIN_STROKE = 0.1  # the share of a scribble that lies on a thing, to mean it
STROKE_WIDTH = 3  # pixels of the working image


class NothingCovered(SplatsegError):
    """A region lies where nothing was reconstructed."""


@dataclass(frozen=True)
class PointPrompt:
    """A point."""

    frame: str
    x: float
    y: float


@dataclass(frozen=True)
class BoxPrompt:
    """The one thing that fills a box best."""

    frame: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class ScribblePrompt:
    """The things under a line through points."""

    frame: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """The things that together are most like a mask; of any size, it shows the whole photo."""

    frame: str
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class GaussianPrompt:
    """The thing that a Gaussian belongs to, by its row."""

    index: int


Region = BoxPrompt | ScribblePrompt | MaskPrompt
Prompt = PointPrompt | Region | GaussianPrompt


def region_queries(
    region: Region, frame: Frame, features: FeatureMap, threshold: float = THRESHOLD
) -> Float[Tensor, "q f"]:
    """The unit features that `region` means, of its view's `features`.

    Raises:
        NothingCovered: it covers no pixel on which something was reconstructed.
    """
    inside = _inside(region, frame).to(features.covered.device) & features.covered
    if not bool(inside.any()):
        kind = type(region).__name__.lower()
        raise NothingCovered(
            f"the {kind} in {region.frame} covers nothing that was reconstructed",
            remedy=(
                "draw it over the object, in pixels of the photo, which is "
                f"{frame.lens.width}x{frame.lens.height}"
            ),
        )
    found, fractions = instances_in(features.features[inside], threshold)
    if isinstance(region, ScribblePrompt):
        return found[fractions >= min(MIN_STROKE, float(fractions.max()))]
    shown = torch.stack([similarity_map(features, one[None]) >= threshold for one in found])
    if isinstance(region, MaskPrompt):
        return found[_most_similar(shown, inside)]
    held = (shown & inside).sum(dim=(1, 2)) / shown.sum(dim=(1, 2)).clamp_min(1)
    filled = (shown & inside).sum(dim=(1, 2)) / inside.sum()
    return found[(held * filled).argmax()][None]


def instances_in(
    features: Float[Tensor, "p f"], threshold: float = THRESHOLD
) -> tuple[Float[Tensor, "k f"], Float[Tensor, " k"]]:
    """The unit features of the instances that pixels show, and each one's fraction of the pixels.

    An instance is a group of similar pixels, and its feature their mean; at most SAMPLES pixels,
    evenly spaced, are compared.
    """
    samples = features[:: -(-len(features) // SAMPLES)]
    groups = group_similar(samples, threshold)
    means = [F.normalize(samples[group].mean(dim=0), dim=0) for group in groups]
    return torch.stack(means), groups.sum(dim=1) / len(samples)


def _most_similar(masks: Bool[Tensor, "k h w"], target: Bool[Tensor, "h w"]) -> list[int]:
    """Masks whose union has a large IoU with `target`: the best, and each that adds MIN_GAIN."""
    union, best, chosen = torch.zeros_like(target), 0.0, []
    while True:
        joined = masks | union
        ious = (joined & target).sum(dim=(1, 2)) / (joined | target).sum(dim=(1, 2))
        index = int(ious.argmax())
        if chosen and float(ious[index]) < best + MIN_GAIN:
            return chosen
        union, best = joined[index], float(ious[index])
        chosen.append(index)


def _inside(region: Region, frame: Frame) -> Bool[Tensor, "h w"]:
    """The pixels of the working image that a region covers."""
    if isinstance(region, MaskPrompt):
        drawn = frame.lens.warp_to_undistorted(region.mask, frame.camera, nearest=True)
        return torch.from_numpy(np.array(drawn, dtype=bool))
    photo = Image.new("1", (frame.lens.width, frame.lens.height))
    draw = ImageDraw.Draw(photo)
    if isinstance(region, BoxPrompt):
        draw.rectangle(_rectangle(region), fill=1)
    else:
        width = round(STROKE_WIDTH * frame.lens.width / frame.camera.width)
        draw.line(region.points, fill=1, width=max(1, width))
    drawn = frame.lens.warp_to_undistorted(np.asarray(photo), frame.camera, nearest=True)
    return torch.from_numpy(np.array(drawn, dtype=bool))


def _rectangle(box: BoxPrompt) -> list[int]:
    """The first and the last pixel that a box covers, as Pillow counts them."""
    if not (box.x0 < box.x1 and box.y0 < box.y1):
        raise SplatsegError(
            f"the box {box.x0:g},{box.y0:g},{box.x1:g},{box.y1:g} in {box.frame} is empty",
            expected="the left, upper, right and lower edge",
        )
    left, top = round(box.x0), round(box.y0)
    return [left, top, max(left, round(box.x1) - 1), max(top, round(box.y1) - 1)]
