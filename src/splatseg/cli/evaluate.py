"""`splatseg evaluate`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from scipy import ndimage

from splatseg.capture import load_capture
from splatseg.capture.resampling import resize
from splatseg.cli.device import Device
from splatseg.cli.grounding import GroundingFlags
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.evaluation import Case, Protocol
from splatseg.evaluation.runner import evaluate
from splatseg.files import write_bytes
from splatseg.images import RGB, AnyRGB, save_image, scaled
from splatseg.masks import Segments
from splatseg.scene import Scene, add_metrics, load_scene
from splatseg.scene.photos import photo_or_render
from splatseg.segmentation import QUERY_RADIUS
from splatseg.text import Grounder, Grounding, MaskFolder
from splatseg.viz.grounding import debug_picture
from splatseg.viz.montages import captioned_montage
from splatseg.viz.pictures import HIGHLIGHT
from splatseg.viz.segments import paint_segments
from splatseg.workflows.device import choose_device
from splatseg.workflows.grounding import make_grounder

HEADLINES = ("miou", "mbiou", "biou2", "outside", "pq", "sq", "rq", "psnr", "ssim")
SECONDARY = {
    "best": "at each object's best threshold (a diagnosis, no result)",
    "worst": "with each object's worst click",
    "other_views": "without the view that the prompts were grounded in",
}
COUNTS = ("tp", "fp", "fn", "ignored", "over_segmented", "under_segmented")

SHEET_COLUMNS = 3
SHEET_CELL = 480  # pixels
CAPTION_LETTERS = 38  # as many as fit above a cell
OUTLINE = 2  # pixels of the cell


@dataclass(frozen=True)
class Evaluate:
    """Measure a scene against the truth of its capture."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    capture: tyro.conf.Positional[Path]
    """Capture with held-out photos and, but for nvs, ground truth."""
    protocol: Protocol = "nvs"
    """nvs: held-out photos. click, click3, random-click: masks from clicks. click3d: the Gaussians
    that clicks select. ceiling: what votes of the truth give.
    clusters, objects: all objects, no prompt. text, 3d-ovs: masks from prompts,
    on LERF-Mask and 3D-OVS."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0: its own, as published."""
    grounding: Path | None = None
    """For text and 3d-ovs: folder of <prompt>.png, each the mask of the prompt's object in the
    first view that has truth; in place of a detector."""
    finding: Annotated[GroundingFlags, tyro.conf.arg(name="")] = field(
        default_factory=GroundingFlags
    )
    truth: Path | None = None
    """For text and 3d-ovs: folder of the true masks, if not CAPTURE/test_mask or
    CAPTURE/segmentations."""
    poses: Path | None = None
    """The poses that the scene was trained with, if they were not the capture's own."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Print the figures, and keep them in the scene."""
        device = choose_device(self.device)
        scene = load_scene(self.scene).to(device)
        # At the scene's own downscale, so that photos come from the files that it was trained on.
        downscale = scene.config.get("downscale")
        capture = load_capture(self.capture, downscale=downscale, poses=self.poses)
        worst: list[Case] = []
        grounded: list[tuple[RGB, Mapping[str, Grounding]]] = []
        report = evaluate(
            *(scene, capture, self.protocol, self.query_radius),
            truth=self.truth,
            grounder=self._grounder(scene, device),
            on_worst=worst.extend,
            on_grounded=lambda image, found: grounded.append((image, found)),
        )
        path = self.scene / "evaluation" / f"{self.protocol}.json"
        write_bytes(path, json.dumps(report, indent=1).encode())
        headline = _known(report, HEADLINES)
        add_metrics(self.scene, {self.protocol: headline})
        out.table([_row(row) for row in report.get("objects", report.get("frames", []))])
        out.say(f"{report['protocol']}: {_in_words(headline)}")
        for name, meaning in SECONDARY.items():
            figures = _known(report.get(name, {}), HEADLINES)
            if figures:
                out.say(f"{meaning}: {_in_words(figures)}")
        counts = [f"{name.replace('_', '-')} {report[name]}" for name in COUNTS if name in report]
        if counts:
            out.say(", ".join(counts))
        out.wrote(path, "every figure")
        if worst:
            picture = path.with_name(f"{self.protocol}_worst.png")
            photos = replace(scene, capture=str(self.capture))
            save_image(picture, worst_montage(photos, worst))
            out.wrote(picture, "look here first")
        for image, found in grounded:
            picture = path.with_name(f"{self.protocol}_grounding.png")
            save_image(picture, grounding_montage(image, found))
            out.wrote(picture, "what each prompt was taken for")
        return report

    def _grounder(self, scene: Scene, device: torch.device) -> Grounder | None:
        """What finds prompts; None where no flag says."""
        if self.grounding is not None:
            if self.finding != GroundingFlags():
                raise SplatsegError(
                    "--grounding has the masks of what was found already, so no flag for a "
                    "detector or its boxes goes with it"
                )
            return Grounder(MaskFolder(self.grounding))
        if self.finding == GroundingFlags():
            return None
        return make_grounder(scene, self.finding.options, device)


def grounding_montage(image: RGB, found: Mapping[str, Grounding]) -> AnyRGB:
    """The reference view for each prompt, with what was found there."""
    cells = [
        scaled(debug_picture(image, grounding.detections, grounding.mask), SHEET_CELL)
        for grounding in found.values()
    ]
    captions = [prompt[:CAPTION_LETTERS] for prompt in found]
    return captioned_montage(cells, captions, SHEET_COLUMNS, SHEET_CELL)


def worst_montage(scene: Scene, cases: Sequence[Case]) -> RGB:
    """Each case's photo with the predicted mask painted and the truth outlined."""
    cells = [_cell(scene, case) for case in cases]
    captions = [f"{case.iou:.2f} {case.name}, {case.frame}"[:CAPTION_LETTERS] for case in cases]
    return captioned_montage(cells, captions, SHEET_COLUMNS, SHEET_CELL)


def _cell(scene: Scene, case: Case) -> RGB:
    """Drawn at the sheet's size, for lines on a large photo would vanish when it is shrunk."""
    frame = next(frame for frame in scene.frames if frame.name == case.frame)
    photo = scaled(photo_or_render(scene, frame), SHEET_CELL)
    height, width = photo.shape[:2]
    predicted, truth = (
        resize(mask, width, height, nearest=True) for mask in (case.predicted, case.truth)
    )
    painted = paint_segments(photo, Segments.from_masks(predicted[None]))
    around = np.asarray(ndimage.binary_dilation(truth, iterations=OUTLINE), dtype=bool)
    painted[around & ~truth] = HIGHLIGHT
    return painted


def _known(figures: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {name: figures[name] for name in names if figures.get(name) is not None}


def _in_words(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What of a report's row fits on a line."""
    plain = {k: "-" if v is None else v for k, v in row.items() if not isinstance(v, (dict, list))}
    best = row.get("best")
    return plain if best is None else plain | {"best": best["miou"], "at": best["threshold"]}
