"""`splatseg evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.grounding import GroundingFlags
from splatseg.cli.output import Output
from splatseg.evaluation.config import PROTOCOLS, ProtocolName
from splatseg.segmentation.config import QUERY_RADIUS

SECONDARY = {
    "best": "at each object's best threshold (a diagnosis, no result)",
    "worst": "with each object's worst click",
    "other_views": "without the view that the prompts were grounded in",
}
COUNTS = ("tp", "fp", "fn", "ignored", "over_segmented", "under_segmented")
PICTURES = {"worst": "look here first", "grounding": "what each prompt was taken for"}


@dataclass(frozen=True)
class Evaluate:
    """Measure a scene against the truth of its capture."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    capture: tyro.conf.Positional[Path]
    """Capture with held-out photos and, but for nvs, ground truth."""
    protocol: Annotated[
        ProtocolName,
        tyro.conf.arg(help=". ".join(f"{name}: {what}" for name, what in PROTOCOLS.items()) + "."),
    ] = "nvs"
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
        """Print the figures."""
        from splatseg.workflows.evaluation import evaluate_scene

        with out.progress_bar() as progress:
            result = evaluate_scene(
                self.scene,
                self.capture,
                protocol=self.protocol,
                query_radius=self.query_radius,
                truth=self.truth,
                grounding=self.grounding,
                finding=self.finding.options,
                poses=self.poses,
                device=self.device,
                progress=progress,
            )
        report, names = result.report, tuple(result.headline)
        out.table([_row(row) for row in report.get("objects", report.get("frames", []))])
        out.say(f"{report['protocol']}: {_in_words(result.headline)}")
        for name, meaning in SECONDARY.items():
            figures = _known(report.get(name, {}), names)
            if figures:
                out.say(f"{meaning}: {_in_words(figures)}")
        counts = [f"{name.replace('_', '-')} {report[name]}" for name in COUNTS if name in report]
        if counts:
            out.say(", ".join(counts))
        out.wrote(result.file, "every figure")
        for name, path in result.pictures.items():
            out.wrote(path, PICTURES[name])
        return result.to_json()


def _known(figures: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {name: figures[name] for name in names if figures.get(name) is not None}


def _in_words(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a report's row fits on a line."""
    plain = {k: "-" if v is None else v for k, v in row.items() if not isinstance(v, (dict, list))}
    best = row.get("best")
    return plain if best is None else plain | {"best": best["miou"], "at": best["threshold"]}
