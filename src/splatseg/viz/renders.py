"""Views of a scene as pictures of one kind: photo, color, features, objects, or masks of a pick.

A painter draws any frame of its scene, at the size of the frame's undistorted image. What all views
share, such as the color map of the features, is prepared once, when the painter is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from splatseg.capture import Frame
from splatseg.capture.photo import read_photo
from splatseg.errors import SplatsegError
from splatseg.images import RGB
from splatseg.masks import read_label_map
from splatseg.render import project
from splatseg.scene import Scene
from splatseg.scene.photos import evenly_spaced, photo_path, rendered_color
from splatseg.segmentation import feature_map, render_labels
from splatseg.segmentation.clustering import region_features
from splatseg.viz.config import RenderKind
from splatseg.viz.features import FeatureColors
from splatseg.viz.labels import paint_labels
from splatseg.viz.pictures import highlight

PALETTE_VIEWS = 6  # views whose features decide on the colors

Painter = Callable[[Frame], RGB]


@dataclass(frozen=True, eq=False)
class RenderSource:
    """What painters draw from."""

    scene: Scene
    folder: Path
    """The scene's."""
    pick: str | None = None
    """The name of a pick in that folder."""

    def kinds(self) -> tuple[RenderKind, ...]:
        """All kinds that can be painted; photos only where the first frame's is there."""
        scene = self.scene
        there: dict[RenderKind, bool] = {
            "photo": photo_path(scene, scene.frames[0]) is not None,
            "color": True,
            "features": scene.gaussians.features.shape[1] > 0,
            "clusters": scene.labels is not None,
            "pick": self.pick is not None,
        }
        return tuple(kind for kind, is_there in there.items() if is_there)


def painter(kind: RenderKind, source: RenderSource) -> Painter:
    """A function that paints a frame of the scene.

    Raises:
        SplatsegError: the scene has no features, no objects or no such pick; the painter raises it
            where a photo or a mask of the pick is missing.
    """
    return PAINTERS[kind](source)


def _photos(source: RenderSource) -> Painter:
    return lambda frame: _undistorted_photo(source.scene, frame)


def _colors(source: RenderSource) -> Painter:
    return lambda frame: rendered_color(source.scene, frame)


def _features(source: RenderSource) -> Painter:
    gaussians, colors = source.scene.gaussians, _feature_colors(source.scene)
    return lambda frame: colors.paint(feature_map(gaussians, project(gaussians, frame.camera)))


def _clusters(source: RenderSource) -> Painter:
    gaussians, labels = source.scene.gaussians, source.scene.labels
    if labels is None:
        raise SplatsegError(
            f"{source.folder} has no objects yet",
            remedy=f"run splatseg cluster {source.folder} first",
        )
    count = int(labels.max())
    return lambda frame: paint_labels(render_labels(gaussians, labels, frame).cpu().numpy(), count)


def _picks(source: RenderSource) -> Painter:
    pick = source.pick
    if pick is None:
        raise SplatsegError(
            "pick is among `kinds`, and no pick is named",
            remedy="give the name of one as `pick`",
        )
    return lambda frame: _highlighted_pick(source.scene, source.folder, pick, frame)


PAINTERS: dict[RenderKind, Callable[[RenderSource], Painter]] = {
    "photo": _photos,
    "color": _colors,
    "features": _features,
    "clusters": _clusters,
    "pick": _picks,
}


def _undistorted_photo(scene: Scene, frame: Frame) -> RGB:
    path = photo_path(scene, frame)
    if path is None:
        raise SplatsegError(
            f"{scene.capture} has no photo {frame.photo} any more",
            remedy="leave photo out of `kinds`",
        )
    pixels = read_photo(path, like=(frame.lens.width, frame.lens.height))
    return frame.lens.warp_to_undistorted(pixels, frame.camera, nearest=False)


def _feature_colors(scene: Scene) -> FeatureColors:
    """One color map for all views of the scene.

    It is fitted to regions rather than pixels, or walls and floor would take all the colors.
    """
    if scene.gaussians.features.shape[1] == 0:
        raise SplatsegError(
            "the scene has no segmentation features to render",
            remedy="train with masks",
        )
    samples = []
    for frame in evenly_spaced(scene.frames, PALETTE_VIEWS):
        features = feature_map(scene.gaussians, project(scene.gaussians, frame.camera))
        samples.append(region_features(features))
    return FeatureColors.fit(torch.cat(samples))


def _highlighted_pick(scene: Scene, folder: Path, pick: str, frame: Frame) -> RGB:
    path = folder / "picks" / pick / "masks" / f"{frame.name}.png"
    if not path.is_file():
        raise SplatsegError(
            f"there is no {path}",
            remedy=f"run splatseg pick {folder} --name {pick} first",
        )
    on_photo = read_label_map(path)
    mask = frame.lens.warp_to_undistorted(on_photo, frame.camera, nearest=True) > 0
    return highlight(rendered_color(scene, frame), mask)
