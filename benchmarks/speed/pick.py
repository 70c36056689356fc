"""How long a click takes: the clicked view with the selection in 3D, and each further view.

    python benchmarks/speed/pick.py SCENE [--gaussians 200000] [--clicks 20] [--threads 2]

SCENE is a trained scene with features. To reach a number of Gaussians, rows are drawn again and
again, moved a little: as many overlap as in a scene that is that large. Clicks are at covered
pixels of training views; medians of all clicks. Wall times need an idle machine.

One JSON object on stdout.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from splatseg import Gaussians, Picker, PointPrompt, Scene, load_scene
from splatseg.engine import library as engine

JITTER = 0.3  # of a Gaussian's mean scale


def enlarged(scene: Scene, count: int, generator: torch.Generator) -> Scene:
    """The scene with `count` Gaussians."""
    have = len(scene.gaussians)
    rows = torch.cat([torch.arange(have), torch.randint(have, (count,), generator=generator)])
    gaussians = scene.gaussians.select(rows[:count])
    noise = torch.randn(count, 3, generator=generator)
    noise[:have] = 0
    scales = gaussians.log_scales.exp().mean(dim=1, keepdim=True)
    moved = Gaussians(
        **(gaussians.tensors() | {"means": gaussians.means + JITTER * scales * noise})
    )
    return replace(scene, gaussians=moved, labels=None, parts={}, levels={})


def timed(function: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - began)


def measure(scene: Scene, clicks: int, generator: torch.Generator) -> dict[str, float]:
    """Medians over clicks, milliseconds."""
    picker, frames = Picker(scene), scene.frames
    seconds = timed(picker.view_aggregated_features) / 1000
    times: dict[str, list[float]] = {"click": [], "again": [], "further": []}
    for number in range(clicks):
        shown, other = frames[number % len(frames)], frames[(7 * number + 3) % len(frames)]
        x, y = (torch.rand(2, generator=generator) * 0.4 + 0.3).tolist()
        click = PointPrompt(shown.name, x * shown.lens.width, y * shown.lens.height)
        selection = None

        def ask(click: PointPrompt = click) -> None:
            nonlocal selection
            selection = picker.pick([click])
            picker.mask(selection, click.view)

        times["click"].append(timed(ask))
        times["again"].append(timed(ask))
        assert selection is not None
        times["further"].append(timed(partial(picker.mask, selection, other.name)))
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    return {"prepare_seconds": round(seconds, 2)} | medians


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine.set_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    scene = enlarged(load_scene(options.scene), options.gaussians, generator)
    camera = scene.frames[0].camera
    result = {
        "gaussians": options.gaussians,
        "size": [camera.width, camera.height],
        "threads": options.threads,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": os.getloadavg()[0],
        "milliseconds": measure(scene, options.clicks, generator),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
