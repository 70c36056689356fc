"""Recover the poses of a capture that has them, and compare.

    python benchmarks/quality/poses.py CAPTURE --output FOLDER [--cameras SHARING] [--threads N]

The poses of CAPTURE's photos are recovered into FOLDER, in a process of its own, so that time and
peak memory are those of the reconstruction. The recovered cameras are brought
onto the known ones by the similarity that fits their positions best (least squares). Reported are
the angle between recovered and known orientations, in degrees, and the distance between positions
as a fraction of the cameras' spread: the root mean square distance of the known ones from their
mean.

stdout carries one JSON object, stderr a short table.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from processes import measured

from splatseg.capture import load_capture
from splatseg.geometry.camera import Camera
from splatseg.sfm.config import CameraSharing
from splatseg.workflows.reconstruction import reconstruct


def similarity(
    found: Float[np.ndarray, "n 3"], known: Float[np.ndarray, "n 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Scale, rotation and shift with the least sum of |scale * rotation @ found + shift - known|^2.

    The closed form of Umeyama (1991).
    """
    found_mean, known_mean = found.mean(axis=0), known.mean(axis=0)
    a, b = found - found_mean, known - known_mean
    u, sizes, vt = np.linalg.svd(b.T @ a)
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # no reflection
    rotation = u @ np.diag(mirror) @ vt
    scale = float(sizes @ mirror / np.sum(a**2))
    return scale, rotation, known_mean - scale * rotation @ found_mean


def pose_errors(
    found: dict[str, Camera], known: dict[str, Camera]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """For the frames in both: degrees, and distance over the known cameras' spread."""
    names = sorted(found.keys() & known.keys())
    positions = np.stack([found[name].position.numpy() for name in names])
    truth = np.stack([known[name].position.numpy() for name in names])
    scale, rotation, shift = similarity(positions, truth)
    spread = np.sqrt(np.mean(np.sum((truth - truth.mean(axis=0)) ** 2, axis=1)))
    distance = np.linalg.norm(scale * positions @ rotation.T + shift - truth, axis=1) / spread
    angles = [_degrees(found[n], known[n], rotation) for n in names]
    return np.array(angles), distance


def _degrees(found: Camera, known: Camera, known_from_found: Float[np.ndarray, "3 3"]) -> float:
    a = found.cam_from_world[:3, :3].numpy() @ known_from_found.T
    b = known.cam_from_world[:3, :3].numpy()
    # The Frobenius distance is accurate for small angles, where the trace's arc cosine is not.
    return float(np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(a - b) / np.sqrt(8)))))


def compare(output: Path, truth: Path) -> dict[str, Any]:
    """The figures for a recovered capture and one of the same photos with known poses."""
    found = {frame.name: frame for frame in load_capture(output, downscale=1).frames}
    known = {frame.name: frame for frame in load_capture(truth, downscale=1).frames}
    degrees, distance = pose_errors(
        {name: frame.camera for name, frame in found.items()},
        {name: frame.camera for name, frame in known.items()},
    )
    focal = [found[n].lens.pinhole()[0] / known[n].lens.pinhole()[0] for n in found.keys() & known]
    return {
        "compared": len(degrees),
        "known": len(known),
        "rotation_degrees": {"median": np.median(degrees), "max": degrees.max()},
        "position_share": {"median": np.median(distance), "max": distance.max()},
        "focal_ratio_median": np.median(focal),
    }


def table(figures: dict[str, Any]) -> str:
    """One row."""
    rotation, position = figures["rotation_degrees"], figures["position_share"]
    cells = [
        figures["scene"],
        f"{figures['registered']} / {figures['photos']}",
        f"{figures['seconds']:.0f} s",
        f"{figures['peak_gib']:.2f} GiB",
        f"{rotation['median']:.3f}° ({rotation['max']:.3f}°)",
        f"{position['median']:.3%} ({position['max']:.3%})",
        f"{figures['points']:,}",
    ]
    return "\n".join(
        [
            "| scene | registered | time | peak | rotation, median (max) "
            "| position / spread, median (max) | points |",
            "|---|---|---|---|---|---|---|",
            "| " + " | ".join(cells) + " |",
        ]
    )


def main() -> None:
    """Parse, recover, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--cameras", default="auto", choices=get_args(CameraSharing))
    parser.add_argument("--threads", type=int, help="all by default")
    options = parser.parse_args()
    result, seconds, memory = measured(
        *(reconstruct, options.capture / "images", options.output),
        cameras=options.cameras,
        threads=options.threads,
    )
    figures = {
        "scene": "-".join(options.capture.resolve().parts[-2:]),
        "cameras": options.cameras,
        "photos": result["photos"],
        "registered": result["registered"],
        "points": result["points"],
        "seconds": round(seconds, 1),
        "peak_gib": round(memory, 2),
    } | compare(options.output, options.capture)
    print(json.dumps(figures, indent=1))
    print(table(figures), file=sys.stderr)


if __name__ == "__main__":
    main()
