"""Measuring a scene against the truth of its capture."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.evaluation import Evaluation, EvaluationOptions, find_protocol
from splatseg.evaluation.config import ProtocolName
from splatseg.evaluation.views import photo_sizes
from splatseg.files import write_bytes
from splatseg.images import AnyRGB, save_image
from splatseg.models.detectors import DEFAULT_DETECTOR, load_detector
from splatseg.models.segmenters import load_segmenter
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene, add_metrics, load_scene
from splatseg.segmentation.config import QUERY_RADIUS
from splatseg.text import BoxFile, DetectorSource, Grounder, MaskFolder
from splatseg.viz.evaluation import grounding_montage, worst_montage
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device


@dataclass(frozen=True)
class EvaluationResult:
    """The figures of a scene by one protocol."""

    report: dict[str, Any]
    """Every figure, as written to `file`; the files of the protocols say what each means."""
    headline: dict[str, float]
    """The main figures: fractions in [0, 1], `psnr` in dB. The scene's manifest keeps them."""
    file: Path
    """evaluation/PROTOCOL.json in the scene."""
    pictures: Mapping[str, Path]
    """Pictures written beside it: "worst", the worst masks of clicks; "grounding", what prompts
    were taken for."""

    def to_json(self) -> dict[str, Any]:
        """The report."""
        return self.report


def evaluate_scene(
    scene: Path,
    capture: Path,
    *,
    protocol: ProtocolName = "nvs",
    query_radius: int = QUERY_RADIUS,
    truth: Path | None = None,
    grounding: Path | None = None,
    detector: str | None = None,
    boxes: Path | None = None,
    min_score: float | None = None,
    sam: str | None = None,
    poses: Path | None = None,
    device: Device = "auto",
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Measure a scene by a protocol, and keep the figures in the scene.

    Args:
        scene: Scene folder.
        capture: Capture with held-out photos and, but for nvs, ground truth.
        protocol: What is asked and how it is scored; see `splatseg.evaluation.PROTOCOLS`.
        query_radius: A click's query is the mean over the pixels this far around it, in pixels of
            the undistorted image, 0 or more.
        truth: For text and 3d-ovs: folder of the true masks, if not `capture`/test_mask or
            `capture`/segmentations.
        grounding: For text and 3d-ovs: folder of <prompt>.png, each the mask of the prompt's object
            in the first view that has truth, in place of what follows.
        detector: Model that finds the prompts there: a folder or an id of the hub.
        boxes: JSON file of boxes that a detector found there, in place of `detector`.
        min_score: A detection's least score, in 0–1; by default the detector's usual one.
        sam: Model that draws the mask in a box: a folder or an id of the hub; by default the box
            means the one object that fills it best.
        poses: The poses that the scene was trained with, if they were not the capture's own: a
            COLMAP model folder or a transforms.json.
        device: Where to compute.
        progress: Told of the stage "scoring views", before it of "lifting the truth" by click3d and
            ceiling. Canceled, nothing is written.

    Returns:
        The figures, and the files that were written.

    Raises:
        SplatsegError: the scene or the capture cannot be read, or lacks what the protocol needs.
    """
    chosen = choose_device(device)
    loaded = load_scene(scene).to(chosen)
    # At the scene's own downscale, so that photos come from the files that it was trained on.
    opened = load_capture(capture, downscale=loaded.config.get("downscale"), poses=poses)
    grounder = _open_grounder(loaded, chosen, grounding, detector, boxes, min_score, sam)
    found = find_protocol(protocol).run(
        loaded,
        opened,
        EvaluationOptions(query_radius=query_radius, truth=truth, grounder=grounder),
        progress,
    )
    return _write(scene, replace(loaded, capture=str(capture)), protocol, found)


def _open_grounder(
    scene: Scene,
    device: torch.device,
    grounding: Path | None,
    detector: str | None,
    boxes: Path | None,
    min_score: float | None,
    sam: str | None,
) -> Grounder | None:
    """What finds prompts; None where nothing is given that does."""
    if (detector, boxes, min_score, sam) == (None, None, None, None):
        return None if grounding is None else Grounder(MaskFolder(grounding))
    if grounding is not None:
        raise SplatsegError(
            "`grounding` has the masks of what was found already, so nothing for a detector or its "
            "boxes goes with it"
        )
    if boxes is not None and (detector or min_score is not None):
        raise SplatsegError(
            "`boxes` are what a detector found, so `detector` and `min_score` do not go with it",
            remedy="leave them or `boxes` away",
        )
    if boxes is not None:
        finder = BoxFile(boxes, photo_sizes(scene.frames))
    else:
        model = load_detector(detector or DEFAULT_DETECTOR, device=device, min_score=min_score)
        finder = DetectorSource(model)
    return Grounder(finder, None if sam is None else load_segmenter(sam, device=device))


def _write(
    folder: Path, scene: Scene, protocol: ProtocolName, found: Evaluation
) -> EvaluationResult:
    """The report, the scene's metrics and the pictures."""
    path = folder / "evaluation" / f"{protocol}.json"
    write_bytes(path, json.dumps(found.report, indent=1).encode())
    headline = find_protocol(protocol).headline(found.report)
    add_metrics(folder, {protocol: headline})
    pictures = {}
    for name, picture in _pictures(scene, found).items():
        pictures[name] = path.with_name(f"{protocol}_{name}.png")
        save_image(pictures[name], picture)
    return EvaluationResult(found.report, headline, path, pictures)


def _pictures(scene: Scene, found: Evaluation) -> dict[str, AnyRGB]:
    pictures: dict[str, AnyRGB] = {}
    if found.worst:
        pictures["worst"] = worst_montage(scene, found.worst)
    if found.reference is not None:
        pictures["grounding"] = grounding_montage(found.reference, found.grounded)
    return pictures
