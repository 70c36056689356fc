"""What a person or a program can point with, and the features that it points at.

Places are pixels of the prompt's view: of the photo as shipped for a frame's name, of its image for
a camera. (0.5, 0.5) is the first pixel's center.

A click's query is the rendered feature at the clicked pixel, in the paper that of this one pixel;
here, the mean of the pixel and its eight neighbors, because one pixel's feature is noisy on small
objects (on a thin marker the difference was 0.59 to 0.81 IoU).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from PIL import Image, ImageDraw
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import Level
from splatseg.render import ProjectedGaussians, rasterize
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.feature_maps import MIN_COVERAGE, FeatureMap, similarity_map
from splatseg.segmentation.grouping import group_similar
from splatseg.segmentation.views import ImagePlane, View

SAMPLES = 2000  # pixels of a region that are compared
MIN_GAIN = 0.1  # of IoU with a mask, to mean one more instance: edges look like small instances
MIN_STROKE = 0.1  # the fraction of a scribble that lies on an instance, to mean it
STROKE_WIDTH = 3  # pixels of the undistorted image


class NothingCovered(SplatsegError):
    """A region lies where nothing was reconstructed."""


@dataclass(frozen=True)
class PointPrompt:
    """A click: the object at a point."""

    view: View
    x: float
    y: float


@dataclass(frozen=True)
class BoxPrompt:
    """The one instance that fills a box best."""

    view: View
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class ScribblePrompt:
    """The instances under a line through points."""

    view: View
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """The instances that together are most similar to a mask of the whole view, of any size."""

    view: View
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class GaussianPrompt:
    """The object that a Gaussian belongs to, by its row."""

    index: int


Region = BoxPrompt | ScribblePrompt | MaskPrompt
Prompt = PointPrompt | Region | GaussianPrompt


@dataclass(frozen=True)
class PromptSet:
    """The prompts for one object."""

    positive: Sequence[Prompt] = ()
    negative: Sequence[Prompt] = ()
    """What does not belong to it."""
    level: Level = "whole"
    """What a prompt means: the whole object, or the part or subpart of it."""
    words: str | None = None
    """That some of the positive prompts were found by."""


def describe_prompts(prompts: Sequence[Prompt]) -> str:
    """The prompts in words."""
    return " and ".join(map(_describe, prompts))


def _describe(prompt: Prompt) -> str:
    if isinstance(prompt, GaussianPrompt):
        return f"Gaussian {prompt.index}"
    view = prompt.view
    if not isinstance(view, str):
        view = "a camera's image" if isinstance(view, Camera) else view.name
    match prompt:
        case PointPrompt():
            return f"click at {prompt.x:g},{prompt.y:g} in {view}"
        case BoxPrompt():
            return f"box {_edges(prompt)} in {view}"
        case ScribblePrompt():
            x, y = prompt.points[0]
            return f"scribble from {x:g},{y:g} in {view}"
        case MaskPrompt():
            return f"mask in {view}"


def click_query(
    gaussians: Gaussians,
    projected: ProjectedGaussians,
    plane: ImagePlane,
    click: PointPrompt,
    radius: int,
) -> Float[Tensor, " f"]:
    """The unit feature under a click: the mean over the pixels up to `radius` away from it.

    Args:
        projected: the Gaussians in the plane's camera.
        radius: in pixels of the undistorted image, on each axis; 0 or more.

    Raises:
        SplatsegError: the click is outside the view, or nothing was reconstructed under it.
    """
    pixels = _neighborhood(plane.undistorted_pixel(click.x, click.y), radius, plane.camera)
    with torch.no_grad():
        samples = rasterize(projected, gaussians.features, pixels)
    covered = samples.alpha >= MIN_COVERAGE
    if not bool(covered[0]):
        raise SplatsegError(
            f"the click at {click.x:g},{click.y:g} in {plane.name} is on empty background",
            remedy="click on something that was reconstructed",
        )
    return F.normalize(F.normalize(samples.image[covered], dim=1).mean(dim=0), dim=0)


def _neighborhood(pixel: Int[Tensor, " 2"], radius: int, camera: Camera) -> Int[Tensor, "m 2"]:
    """The pixels up to `radius` away on each axis, in the image; `pixel` itself first."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.int32, device=pixel.device)
    offsets = torch.cartesian_prod(steps, steps).reshape(-1, 2)
    nearest_first = offsets.abs().sum(dim=1).argsort(stable=True)
    around = pixel + offsets[nearest_first]
    size = pixel.new_tensor([camera.width, camera.height])
    return around[((around >= 0) & (around < size)).all(dim=1)]


def region_queries(
    region: Region, plane: ImagePlane, features: FeatureMap, threshold: float = THRESHOLD
) -> Float[Tensor, "q f"]:
    """The unit features that `region` means, of its view's `features`.

    Raises:
        NothingCovered: it covers no pixel on which something was reconstructed.
    """
    inside = _inside(region, plane).to(features.covered.device) & features.covered
    if not bool(inside.any()):
        kind = type(region).__name__.removesuffix("Prompt").lower()
        raise NothingCovered(
            f"the {kind} in {plane.name} covers nothing that was reconstructed",
            remedy=(
                "draw it over the object, in pixels of the photo, which is "
                f"{plane.width}x{plane.height}"
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


def _inside(region: Region, plane: ImagePlane) -> Bool[Tensor, "h w"]:
    """The pixels of the undistorted image that a region covers."""
    if isinstance(region, MaskPrompt):
        return plane.undistort(region.mask)
    drawn = Image.new("1", (plane.width, plane.height))
    draw = ImageDraw.Draw(drawn)
    if isinstance(region, BoxPrompt):
        draw.rectangle(_rectangle(region, plane.name), fill=1)
    else:
        width = round(STROKE_WIDTH * plane.width / plane.camera.width)
        draw.line(region.points, fill=1, width=max(1, width))
    return plane.undistort(np.asarray(drawn))


def _rectangle(box: BoxPrompt, name: str) -> list[int]:
    """The first and the last pixel that a box covers, as Pillow counts them."""
    if not (box.x0 < box.x1 and box.y0 < box.y1):
        raise SplatsegError(
            f"the box {_edges(box)} in {name} is empty",
            expected="the left, upper, right and lower edge",
        )
    left, top = round(box.x0), round(box.y0)
    return [left, top, max(left, round(box.x1) - 1), max(top, round(box.y1) - 1)]


def _edges(box: BoxPrompt) -> str:
    return ",".join(f"{edge:g}" for edge in (box.x0, box.y0, box.x1, box.y1))
