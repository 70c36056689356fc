"""`splatseg cluster`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output

LISTED = 12  # objects that are printed


@dataclass(frozen=True)
class Cluster:
    """Find all objects of a scene without a prompt: an object id for every Gaussian."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    fresh_ids: bool = False
    """Number the objects anew, by size; else those that were found before keep their ids."""
    device: Device = "auto"
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write ids, the object table, thumbnails and pictures into the scene."""
        from splatseg.workflows.clustering import cluster

        with out.progress_bar() as progress:
            found = cluster(
                self.scene, fresh_ids=self.fresh_ids, device=self.device, progress=progress
            )
        listed = [row for row in found.objects if row["kind"] == "object"]
        out.say(
            f"{len(listed)} objects, and {len(found.objects) - len(listed)} of the background; "
            f"{found.unassigned} Gaussians belong to none, {found.floaters} float"
        )
        for level, table in found.parts.items():
            out.say(f"{len(table)} at the level {level}")
        out.table([_printed(row) for row in listed[:LISTED]])
        out.wrote(self.scene / "labels.safetensors", "id of each Gaussian, 0 = none, -1 floats")
        out.wrote(self.scene / "objects.json", "the object table")
        out.wrote(self.scene / "objects", "a thumbnail for each object")
        out.wrote(self.scene / "objects.png", "look here first")
        out.wrote(self.scene / "clusters.png", "three views")
        out.next(f"splatseg render {self.scene} --kinds color clusters")
        return found.to_json()


def _printed(row: dict[str, Any]) -> dict[str, str]:
    return {
        "id": str(row["id"]),
        "Gaussians": str(row["gaussians"]),
        "views": str(row["views"]),
        "center": " ".join(f"{v:.2f}" for v in row["center"]),
        "size": " x ".join(f"{v:.2f}" for v in row["size"]),
        "color": "#" + "".join(f"{v:02x}" for v in row["color"]),
    }
