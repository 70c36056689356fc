"""You have a splat already, from any trainer: a standard 3DGS PLY gets features and objects.

    python examples/06_your_splat.py [PLY FOLDER]        else out/demo/scene.ply out/06_your_splat

Geometry and colors stay as they are. It needs the photos' poses in the PLY's own coordinates.
"""

import sys
from pathlib import Path

from splatseg import load_scene
from splatseg.cli import main

CAPTURE = Path(__file__).parent / "captures" / "tabletop-demo"
LIFTING = ("--masks", "hard")


def segment(ply: Path, folder: Path, flags: tuple[str, ...] = LIFTING) -> None:
    """Lift the capture's masks onto the splat, and find its objects."""
    for command in (
        ["lift", str(ply), str(CAPTURE), "-o", str(folder), *flags, "--restart"],
        ["cluster", str(folder)],
    ):
        if main(command) != 0:
            sys.exit(1)
    scene = load_scene(folder)
    assert scene.labels is not None
    print(f"{int(scene.labels.max())} things in {len(scene.gaussians)} Gaussians")


if __name__ == "__main__":
    segment(*map(Path, sys.argv[1:] or ("out/demo/scene.ply", "out/06_your_splat")))
