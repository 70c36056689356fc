"""`splatseg cluster`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from splatseg.capture.resampling import resize
from splatseg.cli.device import Device, choose_device
from splatseg.cli.images import photo_or_render, save_image
from splatseg.cli.output import Output
from splatseg.files import write_bytes
from splatseg.pictures import contact_sheet, number_labels, paint_labels, scaled
from splatseg.scene import Scene, load_scene, save_labels
from splatseg.segmentation import cluster_gaussians, render_labels
from splatseg.segmentation.objects import object_table

SHEET_VIEWS = 3
SHEET_CELL = 480  # pixels
LISTED = 12  # objects that are printed


@dataclass(frozen=True)
class Cluster:
    """Find all objects of a scene without a prompt: an object id for every Gaussian."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write ids, the object table and a picture into the scene."""
        scene = load_scene(self.scene).to(choose_device(self.device))
        training = [frame for frame in scene.frames if not frame.is_test]
        with out.progress("clustering", 2 * len(training)) as line:
            labels = cluster_gaussians(
                scene.gaussians,
                training,
                lambda stage, done, total: line.update(
                    done + (total if stage == "voting" else 0), stage
                ),
            )
        objects = [row.to_json() for row in object_table(scene.gaussians, labels)]
        save_labels(self.scene, labels)
        write_bytes(self.scene / "objects.json", json.dumps(objects, indent=1).encode())
        self._write_sheet(scene, labels)
        unassigned = int((labels == 0).sum())
        out.say(f"{len(objects)} objects; {unassigned} Gaussians belong to none")
        out.table([_printed(row) for row in objects[:LISTED]])
        out.wrote(self.scene / "labels.safetensors", "object id of each Gaussian, 0 = none")
        out.wrote(self.scene / "objects.json", "the object table")
        out.wrote(self.scene / "clusters.png", "look here first")
        out.next(f"splatseg render {self.scene} --kinds color clusters")
        return {"scene": str(self.scene), "unassigned": unassigned, "objects": objects}

    def _write_sheet(self, scene: Scene, labels: Any) -> None:
        frames = scene.frames
        chosen = np.linspace(0, len(frames) - 1, min(SHEET_VIEWS, len(frames))).astype(int)
        count = int(labels.max())
        rows = []
        for frame in [frames[i] for i in chosen]:
            shown = render_labels(scene.gaussians, labels, frame).cpu().numpy()
            photo = scaled(photo_or_render(scene, frame), SHEET_CELL)
            height, width = photo.shape[:2]
            ids = resize(frame.lens.warp_to_photo(shown, nearest=True), width, height, nearest=True)
            rows.append([photo, number_labels(paint_labels(ids, count), ids)])
        save_image(
            self.scene / "clusters.png",
            contact_sheet(rows, ["photo", "objects, with their ids"], SHEET_CELL),
        )


def _printed(row: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(row["id"]),
        "Gaussians": str(row["gaussians"]),
        "centre": " ".join(f"{v:.2f}" for v in row["center"]),
        "size": " x ".join(f"{v:.2f}" for v in row["size"]),
        "colour": "#" + "".join(f"{v:02x}" for v in row["color"]),
    }
