"""`splatseg evaluate`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from splatseg.capture import load_capture
from splatseg.cli.device import Device, choose_device
from splatseg.cli.output import Output
from splatseg.evaluation.runner import Protocol, evaluate
from splatseg.files import write_bytes
from splatseg.scene import add_metrics, load_scene
from splatseg.segmentation import QUERY_RADIUS

HEADLINES = ("miou", "mbiou", "biou2", "psnr", "ssim")


@dataclass(frozen=True)
class Evaluate:
    """Measure a scene against the truth of its capture."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    capture: tyro.conf.Positional[Path]
    """Capture with held-out photos and, but for nvs, ground truth."""
    protocol: Protocol = "nvs"
    """nvs: held-out photos. click, click3: masks from clicks. clusters: all objects, no prompt."""
    query_radius: int = QUERY_RADIUS
    """A click's query is the mean over the pixels this far around it; 0: its own, as published."""
    poses: Path | None = None
    """The poses that the scene was trained with, if they were not the capture's own."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Print the figures, and keep them in the scene."""
        scene = load_scene(self.scene).to(choose_device(self.device))
        # At the scene's own downscale, so that photos come from the files that it was trained on.
        downscale = scene.config.get("downscale")
        capture = load_capture(self.capture, downscale=downscale, poses=self.poses)
        report = evaluate(scene, capture, self.protocol, self.query_radius)
        path = self.scene / "evaluation" / f"{self.protocol}.json"
        write_bytes(path, json.dumps(report, indent=1).encode())
        headline = {name: report[name] for name in HEADLINES if name in report}
        add_metrics(self.scene, {self.protocol: headline})
        out.table([_row(row) for row in report.get("objects", report.get("frames", []))])
        out.say(f"{report['protocol']}: " + ", ".join(f"{k} {v:.3f}" for k, v in headline.items()))
        if "best" in report:
            best = ", ".join(f"{k} {v:.3f}" for k, v in report["best"].items())
            out.say(f"at each object's best threshold (a diagnosis, no result): {best}")
        if "worst" in report:
            worst = ", ".join(f"{k} {v:.3f}" for k, v in report["worst"].items())
            out.say(f"with the worst of the three clicks: {worst}")
        out.wrote(path, "every figure")
        return report


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What of a report's row fits on a line."""
    plain = {k: v for k, v in row.items() if not isinstance(v, (dict, list))}
    best = row.get("best")
    return plain if best is None else plain | {"best": best["miou"], "at": best["threshold"]}
