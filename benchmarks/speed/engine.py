"""How fast the native engine is, stage by stage, and how far from what the machine could do.

    python benchmarks/speed/engine.py --json FILE           measure, write FILE, print tables
    python benchmarks/speed/engine.py --table FILE          print the tables of FILE again
      --gaussians 50000 200000   sizes of the synthetic workloads
      --scene FOLDER             also a trained scene, from its first test camera
      --threads 1 2              thread counts to compare
      --repetitions 15           after one warm-up
      --instruction-set avx2     instead of the machine's best
      --load                     also beside a process that keeps a core busy

Stages are the C ABI's functions, called as `render/native.py` calls them but into memory that is
already there; Adam is `adam.py`'s. Those in italics are what a user runs, through
the public functions and autograd, allocations included. All stages on all thread counts take
turns, so that what disturbs the machine disturbs all alike; medians are shown. CPU time is that of
all threads. Torch itself has one thread, as in training.

"x floor" is the CPU time over that of an engine which does nothing but the needed FLOPs at the
machine's measured peak, or moves nothing but the needed bytes at its peak, whichever takes longer
(`peak.cpp`, `workloads.py`). Below 1 the data was still in a cache. Wall times need an idle
machine: beside each table stands how many cores other processes used. For Linux and macOS.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from workloads import (
    Stage,
    Work,
    Workload,
    all_stages,
    blending_stages,
    random_like,
    synthetic,
    trained,
)

from splatseg.engine import library as engine
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import project, rasterize

SMALL = (2000, 160, 120)  # Gaussians, width, height that the torch reference can bear


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall milliseconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)


def other_cpu_seconds() -> float:
    """CPU time of all other processes so far; 0 where the system does not tell."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _, _, irq, soft, *_ = map(int, path.read_text().split()[1:11])
    ticks = user + nice + system + irq + soft
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def measure(
    stages: list[Stage], threads: list[int], repetitions: int
) -> tuple[list[dict[str, Any]], float]:
    """Median CPU and wall milliseconds of each stage, one of each per thread count.

    Also how many cores other processes used meanwhile: where it is much, wall times mean little.
    """
    began, others = time.perf_counter(), other_cpu_seconds()
    samples: list[list[list[tuple[float, float]]]] = [[[] for _ in threads] for _ in stages]
    for repetition in range(-1, repetitions):  # the first is the warm-up
        for t, count in enumerate(threads):
            engine.set_threads(count)
            for s, stage in enumerate(stages):
                sample = timed(stage.run)
                if repetition >= 0:
                    samples[s][t].append(sample)
    # Not below 0: the system counts in ticks.
    others = max(0.0, other_cpu_seconds() - others) / (time.perf_counter() - began)
    rows = [
        {
            "name": stage.name,
            "cpu_ms": [statistics.median(cpu for cpu, _ in times) for times in each],
            "wall_ms": [statistics.median(wall for _, wall in times) for times in each],
        }
        for stage, each in zip(stages, samples, strict=True)
    ]
    return rows, others


def floor_ms(parts: tuple[Work, ...], peak: dict[str, float]) -> float:
    """The CPU milliseconds that `parts` take at the machine's peaks.

    Memory gives what is read at one speed and takes writes beside it: in place, twice as much.
    """
    both = max(peak["read_gbs"], peak["copy_gbs"], peak["update_gbs"])
    seconds = sum(
        max(p.flops / peak["fma_gflops"], p.read / peak["read_gbs"], (p.read + p.written) / both)
        for p in parts
    )
    return seconds / 1e9 * 1e3 * peak["threads"]


def machine_peaks(threads: list[int]) -> list[dict[str, float]]:
    """What `peak.cpp` measures on each number of threads; nothing where it cannot be compiled."""
    compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next((found for c in compilers if c and (found := shutil.which(c))), None)
    if compiler is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        source = Path(__file__).with_name("peak.cpp")
        command = [compiler, "-O3", "-march=native", "-pthread", source, "-o", program]
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
            return []
        return [json.loads(subprocess.check_output([program, str(count)])) for count in threads]


def with_sums(rows: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    """`rows` and, behind the blending of `label`, its sum with binning."""
    names = ("binning", f"blending {label}, forward", f"blending {label}, backward")
    summed = [row for row in rows if row["name"] in names]
    total: dict[str, Any] = {"name": f"**binning + blending {label}, both ways**"}
    for key in rows[0].keys() - {"name"}:
        total[key] = [sum(values) for values in zip(*(row[key] for row in summed), strict=True)]
    place = rows.index(summed[-1]) + 1
    return [*rows[:place], total, *rows[place:]]


def workload_report(
    w: Workload, peaks: list[dict[str, float]], threads: list[int], repetitions: int
) -> dict[str, Any]:
    """Sizes of a workload, and the times of its stages."""
    stages = all_stages(w)
    rows, others = measure(stages, threads, repetitions)
    for row, stage in zip(rows, stages, strict=True):
        if peaks:
            row["floor_cpu_ms"] = [floor_ms(stage.parts, peak) for peak in peaks]
    for label in ("RGB", f"RGB+{w.gaussians.features.shape[1]}"):
        rows = with_sums(rows, label)
    sizes = {"gaussians": len(w.gaussians), "width": w.camera.width, "height": w.camera.height}
    counts = {"visible": w.visible, "mean_radius_px": w.radius, "pairs": int(w.pairs.sum())}
    more = {"tile_entries": w.view.tiles.count, "cores_of_others": others}
    return {"name": w.name, **sizes, **counts, **more, "stages": rows}


def reference_report(repetitions: int) -> dict[str, Any]:
    """An RGB image forward and backward: the torch reference beside the engine, a thread each."""
    count, width, height = SMALL
    w = synthetic(count, width, height)
    grad = random_like(torch.empty(height, width, 3))

    def both_ways(backend: str) -> Callable[[], None]:
        def run() -> None:
            leaves = {n: t.detach().requires_grad_() for n, t in w.gaussians.tensors().items()}
            view = project(Gaussians(**leaves), w.camera, backend=backend)
            rasterize(view, view.colors).image.backward(grad)

        return run

    stages = [Stage("native", both_ways("native"), ())]
    stages += [Stage("reference", both_ways("reference"), ())]
    rows, _ = measure(stages, [1], repetitions)
    times = {row["name"]: row["cpu_ms"][0] for row in rows}
    return {"gaussians": count, "width": width, "height": height, "cpu_ms": times}


def load_report(w: Workload, threads: list[int], repetitions: int) -> list[dict[str, Any]]:
    """Blending RGB with the machine idle, then beside a process that never sleeps."""
    stages = blending_stages(w, "RGB", w.view.colors)
    cases = {"idle": measure(stages, threads, repetitions)}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        cases["beside a busy process"] = measure(stages, threads, repetitions)
    finally:
        busy.kill()
        busy.wait()
    size = {"workload": w.name, "gaussians": len(w.gaussians)}
    return [
        {**size, "case": case, "cores_of_others": others, **row}
        for case, (rows, others) in cases.items()
        for row in rows
    ]


def processor() -> str:
    """The processor's name, where the system tells."""
    path = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", path.read_text()) if path.exists() else []
    return names[0] if names else platform.processor()


def commit() -> str:
    """The commit measured, marked where the sources differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/src", ":/native")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else "")


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as JSON."""
    torch.set_num_threads(1)
    if options.instruction_set:
        engine.use_instruction_set(options.instruction_set)
    peaks = machine_peaks(options.threads)
    scenes = [synthetic(count) for count in options.gaussians]
    scenes += [trained(options.scene)] if options.scene else []
    timing = (options.threads, options.repetitions)
    return {
        "date": date.today().isoformat(),
        "commit": commit(),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            **{"splatseg": version("splatseg"), "torch": torch.__version__},
            "python": platform.python_version(),
        },
        "instruction_set": engine.instruction_set(),
        **{"threads": options.threads, "repetitions": options.repetitions, "peaks": peaks},
        "workloads": [workload_report(w, peaks, *timing) for w in scenes],
        "reference": reference_report(options.repetitions),
        "load": [row for w in scenes for row in load_report(w, *timing)] if options.load else [],
    }


def markdown_table(rows: list[list[str]]) -> list[str]:
    """Rows, the first of them the header; numbers to the right."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:])]


def stage_table(report: dict[str, Any], workload: dict[str, Any]) -> list[str]:
    """One row a stage: for each thread count CPU, wall and distance from the floor."""
    threads, has_floor = report["threads"], bool(report["peaks"])
    columns = ["CPU ms", "wall ms", *(["× floor"] if has_floor else [])]
    header = ["stage", *(f"{name}, {t} thr." for t in threads for name in columns)]
    header += [f"wall {threads[0]} : {threads[-1]} thr."] if len(threads) > 1 else []
    header += ["floor, CPU ms"] if has_floor else []
    rows = [header]
    for stage in workload["stages"]:
        cpu, wall, floor = stage["cpu_ms"], stage["wall_ms"], stage.get("floor_cpu_ms")
        row = [stage["name"]]
        for t in range(len(threads)):
            row += [f"{cpu[t]:.2f}", f"{wall[t]:.2f}"]
            row += [f"{cpu[t] / floor[t]:.1f}"] if floor else []
        row += [f"{wall[0] / wall[-1]:.2f}"] if len(threads) > 1 else []
        row += [f"{floor[0]:.2f}"] if floor else []
        rows.append(row)
    return markdown_table(rows)


def load_table(report: dict[str, Any]) -> list[str]:
    """Wall time of blending, idle and under load."""
    threads = report["threads"]
    header = ["stage", "workload", "cores of others", *(f"wall ms, {t} thr." for t in threads)]
    rows = [[*header, f"wall {threads[0]} : {threads[-1]} thr."]]
    for entry in report["load"]:
        wall, others = entry["wall_ms"], f"{entry['cores_of_others']:.2f}"
        cells = [
            f"{entry['name']}, {entry['case']}",
            f"{entry['workload']}, {entry['gaussians']:,}",
        ]
        cells += [others, *(f"{ms:.2f}" for ms in wall), f"{wall[0] / wall[-1]:.2f}"]
        rows.append(cells)
    return markdown_table(rows)


def markdown(report: dict[str, Any]) -> str:
    """The report as it goes into documentation."""
    machine, versions = report["machine"], report["versions"]
    lines = [
        f"{report['date']}, commit {report['commit']}: {machine['cores']} cores of "
        f"{machine['processor']}, {machine['system']}, {report['instruction_set']} code; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; medians of {report['repetitions']}."
    ]
    for peak in report["peaks"]:
        lines += [
            f"Peak, {peak['threads']} thr.: {peak['fma_gflops']:.0f} GFLOP/s (FMA), memory "
            f"{peak['read_gbs']:.1f} GB/s read, {peak['copy_gbs']:.1f} copied, "
            f"{peak['update_gbs']:.1f} updated in place."
        ]
    if not report["peaks"]:
        lines += [
            "No floors: there is no working C++ compiler to measure the machine's peaks with."
        ]
    for w in report["workloads"]:
        lines += [
            f"\n### {w['name']}, {w['gaussians']:,} Gaussians, {w['width']}x{w['height']}\n",
            f"{w['visible']:,} visible, mean 3-sigma radius {w['mean_radius_px']:.1f} px, "
            f"{w['pairs'] / 1e6:.1f} million contributing pairs, {w['tile_entries']:,} tile "
            f"entries. Other processes used {w['cores_of_others']:.2f} cores meanwhile.\n",
            *stage_table(report, w),
        ]
    small = report["reference"]
    cpu = small["cpu_ms"]
    lines += [
        f"\nTorch reference, {small['gaussians']:,} Gaussians at {small['width']}x"
        f"{small['height']}, RGB, both ways, one thread: {cpu['reference']:.0f} ms; native "
        f"{cpu['native']:.2f} ms, {cpu['reference'] / cpu['native']:.0f} times faster."
    ]
    if report["load"]:
        lines += ["", *load_table(report)]
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--gaussians", type=int, nargs="*", default=[50_000, 200_000])
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--instruction-set")
    parser.add_argument("--load", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(markdown(json.loads(options.table.read_text())))
        return
    report = benchmark(options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(report))


if __name__ == "__main__":
    main()
