"""The whole method on the capture that ships with splatseg: train, find all objects, pick one.

Runs the same commands that you would type; takes a few minutes on two CPU cores. Masks are the set
`hard`: they disagree from view to view, as a real segmenter's do. The run is ten times shorter
than one for good pictures.

    python examples/01_demo.py [FOLDER]        FOLDER is out/demo by default
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from splatseg.cli import main

CAPTURE = Path(__file__).parent / "captures" / "tabletop-demo"
TRAINING = ("--iterations", "3000")
CLICK = "frame_00037:302,248"  # on the power drill


def run(*arguments: object) -> None:
    """One splatseg command, shown as you would type it."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ splatseg {shlex.join(words)}", flush=True)
    status = main(words)
    if status != 0:
        sys.exit(status)


def demo(scene: Path, training: Sequence[str] = TRAINING) -> None:
    """Train on the demo capture, and show what the scene knows."""
    run("train", CAPTURE, "-o", scene, "--masks", "hard", *training)
    run("cluster", scene)
    run("pick", scene, "--at", CLICK, "--name", "drill")
    run("pick", scene, "--at", CLICK, "--level", "part", "--name", "drill-part")
    run("render", scene, "--pick", "drill")
    for protocol in ("nvs", "click", "clusters"):
        run("evaluate", scene, CAPTURE, "--protocol", protocol)
    sheet = scene / "renders" / "contact_sheet.png"
    print(
        f"\nLook at {sheet}: photo, render, features, objects and the picked drill, side by side."
    )
    if sys.stdout.isatty():
        Image.open(sheet).show()


if __name__ == "__main__":
    demo(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out/demo"))
