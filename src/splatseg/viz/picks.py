"""Pictures of picks: the object in several views, and what words were taken for."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from splatseg.capture import Frame
from splatseg.capture.resampling import resize
from splatseg.images import RGB, AnyRGB, scaled
from splatseg.scene import Scene
from splatseg.scene.photos import photo_or_render
from splatseg.segmentation import Picker, PointPrompt
from splatseg.text import GroundingVote
from splatseg.viz.grounding import debug_picture
from splatseg.viz.montages import montage
from splatseg.viz.pictures import highlight, mark

COLUMNS = 3
CELL = 420  # pixels


def pick_montage(
    scene: Scene,
    masks: Mapping[str, Bool[np.ndarray, "_ _"]],
    clicks: Sequence[PointPrompt],
    name: str,
) -> AnyRGB:
    """Photos with the object highlighted, and rings around clicks; `masks` are by frame."""
    cells = [
        _cell(scene, scene.frame(frame), mask, [click for click in clicks if click.view == frame])
        for frame, mask in masks.items()
    ]
    columns = min(COLUMNS, len(cells))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return montage(rows, [f"{name}: ringed where clicked, dimmed outside"], CELL)


def votes_montage(
    picker: Picker,
    text: str,
    votes: Sequence[GroundingVote],
    image_of: Callable[[Scene, Frame], RGB],
) -> AnyRGB:
    """A row for each view: what was found for words, and what it selects."""
    rows = []
    for vote in votes:
        grounding = vote.grounding
        image = image_of(picker.scene, picker.scene.frame(grounding.frame))
        found = debug_picture(image, grounding.detections, grounding.mask)
        queries = picker.queries([grounding.region])
        chosen = highlight(image, picker.margin_of(queries, grounding.frame) >= 0)
        rows.append([scaled(found, CELL), scaled(chosen, CELL)])
    outvoted = [vote.grounding.frame for vote in votes if not vote.agrees]
    selects = "what it selects" + (f"; outvoted: {', '.join(outvoted)}" if outvoted else "")
    return montage(rows, [f"{text}: found", selects], CELL)


def _cell(
    scene: Scene, frame: Frame, mask: Bool[np.ndarray, "_ _"], clicks: Sequence[PointPrompt]
) -> AnyRGB:
    """Drawn at the montage's size, for lines on a large photo vanish when it is shrunk."""
    photo = scaled(photo_or_render(scene, frame), CELL)
    height, width = photo.shape[:2]
    cell = highlight(photo, resize(mask, width, height, nearest=True))
    for click in clicks:
        cell = mark(cell, click.x * width / frame.lens.width, click.y * height / frame.lens.height)
    return cell
