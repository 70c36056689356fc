"""Answering prompts on a scene, interactively: what answers share is kept.

A prompt's mask in a view is Eq. 6 on the rendered features. Its Gaussians are found by the same
rule on their *seen features*: the mean of the unit features of the pixels that a Gaussian is seen
in, over all training views, weighted by how much of the pixel it is. A Gaussian's own feature is
unreliable (see picking.py); what it is seen under is not, and takes a matrix product to ask.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import LEVELS, Level
from splatseg.render import ProjectedGaussians, Window, project
from splatseg.render.reference import extents
from splatseg.scene import Scene
from splatseg.segmentation.config import QUERY_RADIUS, THRESHOLD
from splatseg.segmentation.feature_maps import (
    FeatureMap,
    feature_map,
    similarity_map,
    view_aggregated_features,
)
from splatseg.segmentation.picking import (
    click_query,
    on_photo,
    vote_fractions,
)
from splatseg.segmentation.prompts import (
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    region_queries,
)
from splatseg.segmentation.selection import (
    Queries,
    Selection,
    fingerprint,
    level_checksum,
    refuse_other_scene,
    weights_margin,
)

KEPT_VIEWS = 4  # feature maps, some 20 MB each at 640x480
MAX_PART = 0.5  # of a view: of more, all is rendered, and kept
ALIKE = 0.3  # below a query's threshold: Gaussians seen so alike are where its object can show

Report = Callable[[int, int], None]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Picker:
    """Prompts to selections, and selections to masks, on one scene.

    The first answer of a level takes as long as rendering all training views; further ones
    milliseconds. `report(done, total)` counts these views.
    """

    def __init__(self, scene: Scene, report: Report = lambda done, total: None) -> None:
        if scene.gaussians.features.shape[1] == 0:
            raise SplatsegError(
                "the scene has no segmentation features (it was trained for colors only)",
                remedy="train it with masks first",
            )
        self.scene = scene
        self.fingerprint = fingerprint(scene.gaussians)
        self._report = report
        self._checksums: dict[Level, str] = {}
        self._bare = replace(scene.gaussians, sh=scene.gaussians.sh[:, :1].contiguous())
        self._seen: dict[Level, Float[Tensor, "n f"]] = {}
        self._is_seen: dict[Level, Bool[Tensor, " n"]] = {}
        self._nearly: OrderedDict[Queries, Gaussians] = OrderedDict()
        self._views: OrderedDict[str, ProjectedGaussians] = OrderedDict()
        self._maps: OrderedDict[tuple[Level, str], FeatureMap] = OrderedDict()

    def pick(
        self,
        positive: Sequence[Prompt],
        negative: Sequence[Prompt] = (),
        level: Level = "whole",
        threshold: float = THRESHOLD,
        radius: int = QUERY_RADIUS,
        is_exact: bool = False,
    ) -> Selection:
        """What the `positive` prompts point at, without what the `negative` ones do.

        An exact selection is not asked of the seen features: the object's masks in the training
        views vote, which takes as long as rendering them. A Gaussian's weight is then its share in
        these masks, soft at the object's border; else it is 0 or 1. Masks are the same.

        Where both point at one thing of `level`, the next finer level is asked that tells them
        apart: a click on a cup and a negative one on its handle give the cup without it.

        Raises:
            SplatsegError: no positive prompt, one that points at nothing, or no level tells
                positive and negative ones apart.
        """
        queries = self.queries(positive, negative, level, threshold, radius)
        made = f"{_describe_prompts(positive)}, level {queries.level}, cosine {queries.threshold:g}"
        if negative:
            made += f", without {_describe_prompts(negative)}"
        weights = self._voted(queries) if is_exact else self._known(queries)
        return Selection(weights, self.fingerprint, (made,), queries)

    def queries(
        self,
        positive: Sequence[Prompt],
        negative: Sequence[Prompt] = (),
        level: Level = "whole",
        threshold: float = THRESHOLD,
        radius: int = QUERY_RADIUS,
    ) -> Queries:
        """What prompts point at, of which masks can be had without a selection; see `pick`."""
        if not positive:
            raise SplatsegError("there is no prompt for what to select, only for what not to")
        for candidate in self._levels_from(level):
            inside = self._asked(positive, candidate, threshold, radius)
            outside = self._asked(negative, candidate, threshold, radius)
            if not bool((inside @ outside.T >= threshold).any()):
                return Queries(candidate, inside, outside, threshold, self._checksum(candidate))
        wanted, unwanted = _describe_prompts(positive), _describe_prompts(negative)
        raise SplatsegError(
            f"{wanted} and, to leave out, {unwanted} are on one thing at every level of the scene",
            remedy="move one of them, or leave the second away",
        )

    def margin(self, selection: Selection, frame: str) -> Float[np.ndarray, "h w"]:
        """By how much each pixel of a frame's photo belongs to the selection: 0 or more inside.

        Of prompts, the cosine beyond their threshold; of weights, the share beyond a half.
        """
        refuse_other_scene(selection, self.fingerprint)
        if selection.queries is not None:
            return self.margin_of(selection.queries, frame)
        at = self.scene.frame(frame)
        margin = weights_margin(self.scene.gaussians, self._view(at), selection.weights)
        return on_photo(margin.cpu().numpy(), at.lens)

    def margin_of(self, queries: Queries, frame: str) -> Float[np.ndarray, "h w"]:
        """The same of what prompts point at, which needs no selection.

        Once it is known what Gaussians are seen as, only the part of the view is rendered where
        Gaussians show that are nearly alike; the rest is -1.
        """
        at = self.scene.frame(frame)
        margin = self._part(queries, at) if queries.level in self._seen else None
        if margin is None:
            features = self._map(queries.level, at)
            margin = query_margin(queries, lambda asked: similarity_map(features, asked))
        return on_photo(margin.cpu().numpy(), at.lens)

    def mask(self, selection: Selection, frame: str) -> Bool[np.ndarray, "h w"]:
        """The selection's mask in a frame, in pixels of its photo as shipped."""
        return self.margin(selection, frame) >= 0

    def label_map(self, selections: Sequence[Selection], frame: str) -> Int[np.ndarray, "h w"]:
        """Which of the selections each pixel of a frame's photo shows, from 1; 0 for none.

        Where several do, that with the largest margin. Levels are rendered once for all.
        """
        margins = np.stack([self.margin(selection, frame) for selection in selections])
        return np.where(margins.max(axis=0) >= 0, margins.argmax(axis=0) + 1, 0)

    def masks(
        self, selection: Selection, frames: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Bool[np.ndarray, "h w"]]]:
        """The masks in these frames, by default all, one after the other."""
        names = [frame.name for frame in self.scene.frames] if frames is None else frames
        for name in names:
            yield name, self.mask(selection, name)

    def view_aggregated_features(self, level: Level = "whole") -> Float[Tensor, "n f"]:
        """The unit feature that each Gaussian is seen under; 0 where no training view sees it."""
        if level not in self._seen:
            training = self._training()
            seen = view_aggregated_features(
                self._at(level),
                training,
                visit=lambda _: self._report(len(training), len(training)),
            )
            self._seen[level], self._is_seen[level] = seen, seen.any(dim=1)
        return self._seen[level]

    def _checksum(self, level: Level) -> str:
        if level not in self._checksums:
            self._checksums[level] = level_checksum(self.scene, level) or ""
        return self._checksums[level]

    def _levels_from(self, level: Level) -> list[Level]:
        """`level` and those that the scene has below it."""
        there: list[Level] = [
            name for name in LEVELS if name == "whole" or name in self.scene.levels
        ]
        return [level, *there[there.index(level) + 1 :]] if level in there else [level]

    def _at(self, level: Level) -> Gaussians:
        return self.scene.at(level).gaussians

    def _asked(
        self, prompts: Sequence[Prompt], level: Level, threshold: float, radius: int
    ) -> Float[Tensor, "q f"]:
        found = [self._queries(prompt, level, threshold, radius) for prompt in prompts]
        return torch.cat([self._at(level).features[:0], *found])

    def _queries(
        self, prompt: Prompt, level: Level, threshold: float, radius: int
    ) -> Float[Tensor, "q f"]:
        if isinstance(prompt, GaussianPrompt):
            return self._gaussian_query(prompt, level)[None]
        frame = self.scene.frame(prompt.frame)
        if isinstance(prompt, PointPrompt):
            return click_query(self._at(level), self._view(frame), frame, prompt, radius)[None]
        return region_queries(prompt, frame, self._map(level, frame), threshold)

    def _gaussian_query(self, prompt: GaussianPrompt, level: Level) -> Float[Tensor, " f"]:
        count = len(self.scene.gaussians)
        if not 0 <= prompt.index < count:
            raise SplatsegError(
                f"there is no Gaussian {prompt.index}",
                remedy=f"the scene has {count}, counted from 0",
            )
        feature = self.view_aggregated_features(level)[prompt.index]
        if not bool(feature.any()):
            raise SplatsegError(
                f"no training view sees Gaussian {prompt.index}, so nothing is known of it",
                remedy="name another",
            )
        return feature

    def _known(self, queries: Queries) -> Float[Tensor, " n"]:
        """1 for the Gaussians that are seen as the object, else 0."""
        self.view_aggregated_features(queries.level)
        return (query_margin(queries, partial(self._seen_alike, queries.level)) >= 0).float()

    def _seen_alike(self, level: Level, asked: Float[Tensor, "q f"]) -> Float[Tensor, " n"]:
        """The largest cosine of each Gaussian's seen feature; -1 of those that no view sees."""
        seen = self._seen[level]
        return torch.where(self._is_seen[level], (seen @ asked.T).amax(dim=1), -1.0)

    def _alike(self, queries: Queries) -> Gaussians:
        """Those that are seen as nearly the object, which is all that it can show in a view."""
        alike = self._seen_alike(queries.level, queries.positive) >= queries.threshold - ALIKE
        return self._bare.select(alike)

    def _part(self, queries: Queries, at: Frame) -> Float[Tensor, "h w"] | None:
        """The margin where the object can show, else -1; None if that is too much of the view."""
        window = window_of(_kept(self._nearly, queries, lambda: self._alike(queries)), at.camera)
        if window[2] * window[3] > MAX_PART * at.camera.width * at.camera.height:
            return None
        margin = queries.positive.new_full((at.camera.height, at.camera.width), -1.0)
        if window[2] * window[3] > 0:
            view = project(self._bare, at.camera, window=window)
            features = feature_map(self._at(queries.level), view)
            x, y, width, height = window
            margin[y : y + height, x : x + width] = query_margin(
                queries, lambda asked: similarity_map(features, asked)
            )
        return margin

    def _voted(self, queries: Queries) -> Float[Tensor, " n"]:
        """The share of each Gaussian that lies in the object's masks in the training views."""
        gaussians, training = self._at(queries.level), self._training()
        done = iter(range(len(training)))

        def inside(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "1 h w"]:
            self._report(next(done), len(training))
            features = feature_map(gaussians, view)
            margin = query_margin(queries, lambda asked: similarity_map(features, asked))
            return margin[None] >= 0

        return vote_fractions(gaussians, training, 1, inside)[:, 0]

    def _training(self) -> list[Frame]:
        return [frame for frame in self.scene.frames if not frame.is_test]

    def _view(self, frame: Frame) -> ProjectedGaussians:
        """The projected scene; levels share it."""
        return _kept(self._views, frame.name, lambda: project(self._bare, frame.camera))

    def _map(self, level: Level, frame: Frame) -> FeatureMap:
        return _kept(
            self._maps,
            (level, frame.name),
            lambda: feature_map(self._at(level), self._view(frame)),
        )


def query_margin(
    queries: Queries, similarity: Callable[[Float[Tensor, "q f"]], Float[Tensor, "*shape"]]
) -> Float[Tensor, "*shape"]:
    """By how much each pixel belongs: 0 or more inside (Eq. 6, and nearest to no unwanted one).

    `similarity` gives each pixel's largest cosine with some queries.
    """
    alike = similarity(queries.positive)
    margin = alike - queries.threshold
    if len(queries.negative) > 0:
        margin = torch.minimum(margin, alike - similarity(queries.negative))
    return margin


def window_of(gaussians: Gaussians, camera: Camera) -> Window:
    """The part of the image that Gaussians reach; of size 0 where there is none."""
    view = project(gaussians, camera)
    shown = view.visible
    if not bool(shown.any()):
        return (0, 0, 0, 0)
    reach = extents(view.conics[shown], view.opacities[shown])
    centers, size = view.means2d[shown], view.means2d.new_tensor([camera.width, camera.height])
    low = (centers - reach).amin(dim=0).clamp_min(0).floor()
    high = torch.minimum((centers + reach).amax(dim=0).ceil(), size)
    (x, y), (width, height) = low.int().tolist(), (high - low).int().tolist()
    return (x, y, width, height)


def _describe_prompts(prompts: Sequence[Prompt]) -> str:
    """The prompts in words."""
    return " and ".join(_describe_prompt(prompt) for prompt in prompts)


def _describe_prompt(prompt: Prompt) -> str:
    match prompt:
        case GaussianPrompt():
            return f"Gaussian {prompt.index}"
        case PointPrompt():
            return f"click at {prompt.x:g},{prompt.y:g} in {prompt.frame}"
        case BoxPrompt():
            edges = ",".join(f"{edge:g}" for edge in (prompt.x0, prompt.y0, prompt.x1, prompt.y1))
            return f"box {edges} in {prompt.frame}"
        case ScribblePrompt():
            x, y = prompt.points[0]
            return f"scribble from {x:g},{y:g} in {prompt.frame}"
        case MaskPrompt():
            return f"mask in {prompt.frame}"


def _kept(cache: OrderedDict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """The value of `key`, made if it is not kept; the least lately used gives way."""
    if key not in cache:
        cache[key] = make()
    cache.move_to_end(key)
    if len(cache) > KEPT_VIEWS:
        cache.popitem(last=False)
    return cache[key]
