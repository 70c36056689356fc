"""Answering prompts on a scene: the one implementation of Eq. 6 of arXiv:2404.12784.

A pixel belongs to the object where the cosine of its rendered feature with a query is at least the
threshold, 0.7 in the paper, and, ours, where something was hit at all. There are three ways to the
object's Gaussians:

- fast, for interactive use: the same rule on *view-aggregated features*, the mean of the unit
  features of the pixels that show a Gaussian in the training views, by blending weight;
- exact: the object's masks in the training views vote, see votes.py;
- the paper's (Fig. 4): the rule on the Gaussians' own features. These are only constrained through
  what they are blended with, so that is unreliable.

What answers share is kept: projections, feature maps, aggregated features.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, overload
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import LEVELS, Level
from splatseg.progress import SILENT, Progress
from splatseg.render import ProjectedGaussians, Window, project
from splatseg.render.reference import extents
from splatseg.scene import Scene
from splatseg.segmentation.config import QUERY_RADIUS, THRESHOLD
from splatseg.segmentation.feature_maps import (
    FeatureMap,
    feature_map,
    require_features,
    similarity_map,
    view_aggregated_features,
)
from splatseg.segmentation.packed_mask import PackedMask
from splatseg.segmentation.prompts import (
    GaussianPrompt,
    PointPrompt,
    Prompt,
    click_query,
    describe_prompts,
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
from splatseg.segmentation.views import ImagePlane, View
from splatseg.segmentation.votes import vote_fractions

KEPT_VIEWS = 4  # feature maps, some 20 MB each at 640x480
MAX_PART = 0.5  # of a view: of more, all is rendered, and kept
MAX_DEFICIT = 0.3  # below a query's threshold: more similar Gaussians are where its object can show
STAGE = "selecting"

Key = TypeVar("Key")
Value = TypeVar("Value")
AnyView = TypeVar("AnyView", bound=View)


class Picker:
    """Prompts to selections, and selections to masks, on one scene.

    A view is a frame's name, and pixels are those of its photo as shipped; or a `Camera`, and
    pixels are those of its image; or a `Frame`, for its photo at the size of the frame's lens.
    """

    def __init__(self, scene: Scene, progress: Progress = SILENT) -> None:
        """Nothing is rendered yet.

        Args:
            scene: with features; it must not be changed afterwards.
            progress: told of the stage "selecting", a step for each training view, whenever all
                of them are rendered: for the first selection of a level, and each exact one.

        Raises:
            SplatsegError: the scene has no features.
        """
        require_features(scene.gaussians)
        self.scene = scene
        self.fingerprint = fingerprint(scene.gaussians)
        self._progress = progress
        self._checksums: dict[Level, str] = {}
        self._bare = replace(scene.gaussians, sh=scene.gaussians.sh[:, :1].contiguous())
        self._aggregated: dict[Level, Float[Tensor, "n f"]] = {}
        self._is_seen: dict[Level, Bool[Tensor, " n"]] = {}
        self._nearly: OrderedDict[Queries, Gaussians] = OrderedDict()
        self._views: OrderedDict[Hashable, ProjectedGaussians] = OrderedDict()
        self._maps: OrderedDict[tuple[Level, Hashable], FeatureMap] = OrderedDict()
        self._masks: WeakKeyDictionary[Queries, dict[Hashable, PackedMask]] = WeakKeyDictionary()

    def pick(
        self,
        positive: Sequence[Prompt],
        negative: Sequence[Prompt] = (),
        level: Level = "whole",
        threshold: float = THRESHOLD,
        radius: int = QUERY_RADIUS,
        is_exact: bool = False,
        keep_masks: bool = False,
    ) -> Selection:
        """Select what the `positive` prompts point at, without what the `negative` ones do.

        Where both point at one object of `level`, the next finer level that tells them apart is
        used: a click on a cup and a negative one on its handle give the cup without it.

        Args:
            positive: at least one.
            negative: what does not belong to the object.
            level: what a prompt means: whole objects, parts or subparts.
            threshold: the cosine, in [-1, 1], from which a pixel belongs to the object.
            radius: a click's query is the mean over the pixels this far around it, in pixels of
                the undistorted image.
            is_exact: let the object's masks in the training views vote, which takes as long as
                rendering them. A Gaussian's weight is then the fraction of it that lies in these
                masks, soft at the object's border; else it is 0 or 1. Masks are the same.
            keep_masks: of an exact selection, keep the masks in the training views for as long as
                the selection lives, so that `mask` need not render these again.

        Raises:
            SplatsegError: no positive prompt, one that points at nothing, or no level tells
                positive and negative ones apart.
        """
        ask = (positive, negative)
        return self.pick_many([ask], level, threshold, radius, is_exact, keep_masks)[0]

    def pick_many(
        self,
        prompts: Sequence[tuple[Sequence[Prompt], Sequence[Prompt]]],
        level: Level = "whole",
        threshold: float = THRESHOLD,
        radius: int = QUERY_RADIUS,
        is_exact: bool = False,
        keep_masks: bool = False,
    ) -> list[Selection]:
        """A selection for each pair of positive and negative prompts; see `pick`.

        Exact ones render each training view once for all.
        """
        asked = [self.queries(*pair, level, threshold, radius) for pair in prompts]
        if is_exact and asked:
            weights = list(self.exact_weights(asked, keep_masks).unbind(dim=1))
        else:
            weights = [self._fast_weights(queries) for queries in asked]
        return [
            Selection(each.contiguous(), self.fingerprint, (_describe(pair, queries),), queries)
            for pair, queries, each in zip(prompts, asked, weights, strict=True)
        ]

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
        if radius < 0:
            raise SplatsegError(f"the query radius is {radius}", expected="0 or more pixels")
        for candidate in self._levels_from(level):
            inside = self._features_of(positive, candidate, threshold, radius)
            outside = self._features_of(negative, candidate, threshold, radius)
            if not bool((inside @ outside.T >= threshold).any()):
                return Queries(candidate, inside, outside, threshold, self._checksum(candidate))
        raise SplatsegError(
            f"{describe_prompts(positive)} and, to leave out, {describe_prompts(negative)} are on "
            "one object at every level of the scene",
            remedy="move one of them, or leave the second away",
        )

    def similarity(self, queries: Queries, view: View) -> Float[np.ndarray, "h w"]:
        """Each pixel's largest cosine with the positive queries; -1 on background."""
        plane = ImagePlane.of(self.scene, view)
        return plane.distort(similarity_map(self._map(queries.level, plane), queries.positive))

    def margin(self, selection: Selection, view: View) -> Float[np.ndarray, "h w"]:
        """By how much each pixel of a view belongs to the selection: 0 or more inside.

        Of prompts, the cosine beyond their threshold; of weights, the fraction beyond a half.

        Raises:
            SplatsegError: the selection is of another scene, or there is no such frame.
        """
        refuse_other_scene(selection, self.fingerprint)
        if selection.queries is not None:
            return self.margin_of(selection.queries, view)
        plane = ImagePlane.of(self.scene, view)
        return plane.distort(
            weights_margin(self.scene.gaussians, self._projected(plane), selection.weights)
        )

    def margin_of(self, queries: Queries, view: View) -> Float[np.ndarray, "h w"]:
        """The same of what prompts point at, which needs no selection.

        Once view-aggregated features are known, only the part of the view is rendered where nearly
        similar Gaussians show; the rest is -1.
        """
        plane = ImagePlane.of(self.scene, view)
        margin = self._part(queries, plane.camera) if queries.level in self._aggregated else None
        if margin is None:
            features = self._map(queries.level, plane)
            margin = query_margin(queries, partial(similarity_map, features))
        return plane.distort(margin)

    def mask(self, selection: Selection, view: View) -> Bool[np.ndarray, "h w"]:
        """The selection's mask in a view; raises as `margin` does."""
        if selection.queries is not None:
            masks = self._masks.get(selection.queries, {})
            kept = masks.get(ImagePlane.of(self.scene, view).key) if masks else None
            if kept is not None:
                return kept.unpack()
        return self.margin(selection, view) >= 0

    def label_map(self, selections: Sequence[Selection], view: View) -> Int[np.ndarray, "h w"]:
        """Which of the selections each pixel of a view shows, from 1; 0 for none.

        Where several do, that with the largest margin. Levels are rendered once for all.
        """
        margins = np.stack([self.margin(selection, view) for selection in selections])
        return np.where(margins.max(axis=0) >= 0, margins.argmax(axis=0) + 1, 0)

    @overload
    def masks(self, selection: Selection) -> Iterator[tuple[str, Bool[np.ndarray, "_ _"]]]: ...
    @overload
    def masks(
        self, selection: Selection, views: Iterable[AnyView]
    ) -> Iterator[tuple[AnyView, Bool[np.ndarray, "_ _"]]]: ...
    def masks(
        self, selection: Selection, views: Iterable[View] | None = None
    ) -> Iterator[tuple[View, Bool[np.ndarray, "_ _"]]]:
        """Views with their masks, one after the other; by default all frames, by name."""
        for view in [frame.name for frame in self.scene.frames] if views is None else views:
            yield view, self.mask(selection, view)

    def view_aggregated_features(self, level: Level = "whole") -> Float[Tensor, "n f"]:
        """The unit feature that each Gaussian is seen under; 0 where no training view sees it."""
        if level not in self._aggregated:
            features = view_aggregated_features(
                self._at(level), self.scene.train, self._progress, STAGE
            )
            self._aggregated[level], self._is_seen[level] = features, features.any(dim=1)
        return self._aggregated[level]

    def exact_weights(
        self, asked: Sequence[Queries], keep_masks: bool = False
    ) -> Float[Tensor, "n k"]:
        """The fraction of each Gaussian that lies in each object's masks in the training views.

        Each view is rendered once for all objects of a level. See `pick` on `keep_masks`.
        """
        levels: set[Level] = {queries.level for queries in asked}
        kept = {queries: self._masks.setdefault(queries, {}) for queries in asked if keep_masks}

        def masks(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "k h w"]:
            maps = {level: feature_map(self._at(level), view) for level in levels}
            margins = [query_margin(q, partial(similarity_map, maps[q.level])) for q in asked]
            plane = ImagePlane.of(self.scene, frame)
            for queries, margin in zip(asked, margins, strict=True):
                if keep_masks:
                    kept[queries][plane.key] = PackedMask(plane.distort(margin) >= 0)
            return torch.stack(margins) >= 0

        training = self.scene.train
        return vote_fractions(self._bare, training, len(asked), masks, self._progress, STAGE)

    def select_by_own_features(self, queries: Queries) -> Bool[Tensor, " n"]:
        """The Gaussians whose own feature is similar: the paper's selection (Fig. 4)."""
        own = F.normalize(self._at(queries.level).features, dim=1)
        return query_margin(queries, lambda asked: (own @ asked.T).amax(dim=1)) >= 0

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

    def _features_of(
        self, prompts: Sequence[Prompt], level: Level, threshold: float, radius: int
    ) -> Float[Tensor, "q f"]:
        found = [self._prompt_features(prompt, level, threshold, radius) for prompt in prompts]
        return torch.cat([self._at(level).features[:0], *found])

    def _prompt_features(
        self, prompt: Prompt, level: Level, threshold: float, radius: int
    ) -> Float[Tensor, "q f"]:
        if isinstance(prompt, GaussianPrompt):
            return self._gaussian_feature(prompt, level)[None]
        plane = ImagePlane.of(self.scene, prompt.view)
        if isinstance(prompt, PointPrompt):
            return click_query(self._at(level), self._projected(plane), plane, prompt, radius)[None]
        return region_queries(prompt, plane, self._map(level, plane), threshold)

    def _gaussian_feature(self, prompt: GaussianPrompt, level: Level) -> Float[Tensor, " f"]:
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

    def _fast_weights(self, queries: Queries) -> Float[Tensor, " n"]:
        """1 for the Gaussians whose view-aggregated features are the object's, else 0."""
        self.view_aggregated_features(queries.level)
        return (query_margin(queries, partial(self._aggregated_cosine, queries.level)) >= 0).float()

    def _aggregated_cosine(self, level: Level, asked: Float[Tensor, "q f"]) -> Float[Tensor, " n"]:
        """The largest cosine of each Gaussian's aggregated feature; -1 where no view sees it."""
        cosine = (self._aggregated[level] @ asked.T).amax(dim=1)
        return torch.where(self._is_seen[level], cosine, -1.0)

    def _nearly_similar(self, queries: Queries) -> Gaussians:
        """Those that are seen as nearly the object, which is all that it can show in a view."""
        cosine = self._aggregated_cosine(queries.level, queries.positive)
        return self._bare.select(cosine >= queries.threshold - MAX_DEFICIT)

    def _part(self, queries: Queries, camera: Camera) -> Float[Tensor, "h w"] | None:
        """The margin where the object can show, else -1; None if that is too much of the view."""
        nearly = _kept(self._nearly, queries, lambda: self._nearly_similar(queries))
        window = window_of(nearly, camera)
        if window[2] * window[3] > MAX_PART * camera.width * camera.height:
            return None
        margin = queries.positive.new_full((camera.height, camera.width), -1.0)
        if window[2] * window[3] > 0:
            view = project(self._bare, camera, window=window)
            features = feature_map(self._at(queries.level), view)
            x, y, width, height = window
            margin[y : y + height, x : x + width] = query_margin(
                queries, partial(similarity_map, features)
            )
        return margin

    def _projected(self, plane: ImagePlane) -> ProjectedGaussians:
        """The projected scene; levels share it."""
        return _kept(self._views, plane.key, lambda: project(self._bare, plane.camera))

    def _map(self, level: Level, plane: ImagePlane) -> FeatureMap:
        return _kept(
            self._maps,
            (level, plane.key),
            lambda: feature_map(self._at(level), self._projected(plane)),
        )


def query_margin(
    queries: Queries, similarity: Callable[[Float[Tensor, "q f"]], Float[Tensor, "*shape"]]
) -> Float[Tensor, "*shape"]:
    """By how much each pixel belongs: 0 or more inside (Eq. 6, and nearest to no unwanted one).

    `similarity` gives each pixel's largest cosine with some queries.
    """
    wanted = similarity(queries.positive)
    margin = wanted - queries.threshold
    if len(queries.negative) > 0:
        margin = torch.minimum(margin, wanted - similarity(queries.negative))
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


def _describe(pair: tuple[Sequence[Prompt], Sequence[Prompt]], queries: Queries) -> str:
    """How a selection came about."""
    positive, negative = pair
    made = f"{describe_prompts(positive)}, level {queries.level}, cosine {queries.threshold:g}"
    return made + (f", without {describe_prompts(negative)}" if negative else "")


def _kept(cache: OrderedDict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """The value of `key`, made if it is not kept; the least lately used gives way."""
    if key not in cache:
        cache[key] = make()
    cache.move_to_end(key)
    if len(cache) > KEPT_VIEWS:
        cache.popitem(last=False)
    return cache[key]
