"""You have a splat already, from any trainer: a standard 3DGS PLY gets features and objects.

    python examples/06_your_splat.py [PLY FOLDER]        else out/demo/scene.ply out/06_your_splat

Geometry and colors stay as they are. It needs the photos' poses in the PLY's own coordinates. The
same by command: `splatseg lift` and `splatseg cluster`.
"""

import sys
from pathlib import Path

from splatseg.lifting.config import LiftConfig
from splatseg.workflows.clustering import cluster
from splatseg.workflows.lifting import lift

CAPTURE = Path(__file__).parent / "captures" / "tabletop-demo"


def segment(
    ply: Path, folder: Path, config: LiftConfig | None = None, downscale: int | None = None
) -> None:
    """Lift the capture's masks onto the splat, and find its objects."""
    lifted = lift(
        ply, CAPTURE, folder, config=config, masks="hard", downscale=downscale, restart=True
    )
    found = cluster(folder)
    print(f"{len(found.objects)} objects in {lifted.gaussians} Gaussians")


if __name__ == "__main__":
    ply, folder = map(Path, sys.argv[1:] or ("out/demo/scene.ply", "out/06_your_splat"))
    segment(ply, folder)
