"""Render the views of a scene: colors, features, objects, side by side with the photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatseg.capture import Frame
from splatseg.images import save_image
from splatseg.masks.config import Level
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene, load_scene
from splatseg.scene.photos import evenly_spaced
from splatseg.viz.config import FrameSet, RenderKind
from splatseg.viz.montages import montage
from splatseg.viz.renders import RenderSource, painter
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device

RENDERS, MONTAGE = "renders", "contact_sheet.png"
MONTAGE_ROWS = 5
MONTAGE_CELL = 400  # pixels


@dataclass(frozen=True)
class RenderResult:
    """What was rendered."""

    folder: Path
    """Has one folder for each kind, with one PNG for each view."""
    montage: Path
    """A picture of a few views, a column for each kind."""
    views: int
    kinds: tuple[RenderKind, ...]
    capture: str
    """The capture that the scene was trained on."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "renders": str(self.folder),
            "contact_sheet": str(self.montage),
            "views": self.views,
        }


def render_views(
    scene: Path,
    output: Path | None = None,
    *,
    frames: FrameSet = "test",
    kinds: Sequence[RenderKind] = (),
    level: Level = "whole",
    pick: str | None = None,
    device: Device = "auto",
    progress: Progress = SILENT,
) -> RenderResult:
    """Render views of a scene as one PNG per view and kind, and a montage of a few of them.

    Views have the size of the scene's undistorted images. Ctrl-C keeps what is written already.

    Args:
        scene: A scene folder.
        output: The folder to write into; by default renders/ in the scene's.
        frames: "test" is the views held out, or all views where none is.
        kinds: What to render; by default all that the scene has.
        level: Whose features to render: whole objects, their parts, or subparts.
        pick: The name of a pick of the scene, for the kind "pick".
        device: Where to compute.
        progress: Told of the stage "rendering", in views.

    Raises:
        SplatsegError: the scene is unsound or lacks what a kind shows.
    """
    loaded = load_scene(scene).at(level).to(choose_device(device))
    source = RenderSource(loaded, scene, pick)
    chosen = tuple(dict.fromkeys(kinds)) or source.kinds()
    painters = {kind: painter(kind, source) for kind in chosen}
    views = _views(loaded, frames)
    in_montage = evenly_spaced(range(len(views)), MONTAGE_ROWS)
    folder, rows = output or scene / RENDERS, []
    for index, frame in enumerate(views):
        images = [paint(frame) for paint in painters.values()]
        for kind, image in zip(painters, images, strict=True):
            save_image(folder / kind / f"{frame.name}.png", image)
        if index in in_montage:
            rows.append(images)
        progress.update("rendering", index + 1, len(views))
    save_image(folder / MONTAGE, montage(rows, chosen, MONTAGE_CELL))
    return RenderResult(folder, folder / MONTAGE, len(views), chosen, loaded.capture)


def _views(scene: Scene, frames: FrameSet) -> list[Frame]:
    if frames == "train":
        return scene.train
    return (scene.test if frames == "test" else []) or list(scene.frames)
