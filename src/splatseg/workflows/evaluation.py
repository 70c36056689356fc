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
from splatseg.files import write_bytes
from splatseg.images import AnyRGB, save_image
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene, add_metrics, load_scene
from splatseg.segmentation.config import QUERY_RADIUS
from splatseg.text import Grounder, MaskFolder
from splatseg.viz.evaluation import grounding_montage, worst_montage
from splatseg.workflows.config import Device
from splatseg.workflows.device import choose_device
from splatseg.workflows.grounding import GroundingOptions, make_grounder


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
    finding: GroundingOptions | None = None,
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
            in the first view that has truth, in place of `finding`.
        finding: For text and 3d-ovs: the detector or the boxes that find the prompts there.
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
    grounder = _open_grounder(loaded, chosen, grounding, finding or GroundingOptions())
    found = find_protocol(protocol).run(
        loaded,
        opened,
        EvaluationOptions(query_radius=query_radius, truth=truth, grounder=grounder),
        progress,
    )
    return _write(scene, replace(loaded, capture=str(capture)), protocol, found)


def _open_grounder(
    scene: Scene, device: torch.device, grounding: Path | None, finding: GroundingOptions
) -> Grounder | None:
    """What finds prompts; None where nothing is given that does."""
    if finding == GroundingOptions():
        return None if grounding is None else Grounder(MaskFolder(grounding))
    if grounding is not None:
        raise SplatsegError(
            "`grounding` has the masks of what was found already, so nothing for a detector or its "
            "boxes goes with it"
        )
    return make_grounder(scene, finding, device)


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
