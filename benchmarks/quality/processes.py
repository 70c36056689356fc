"""A workflow in a process of its own, so that time and peak memory are those of the workflow."""

import re
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol


class Result(Protocol):
    """What every workflow gives."""

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        ...


def measured(
    workflow: Callable[..., Result], *arguments: Any, threads: int | None = None, **options: Any
) -> tuple[dict[str, Any], float, float]:
    """Its result as JSON values, wall seconds with the interpreter's start, and peak GiB.

    Args:
        workflow: a function of a module, with arguments that can be pickled.
        threads: CPU threads; None: all.
    """
    began = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result, peak = pool.submit(_run, workflow, arguments, options, threads).result()
    return result, time.perf_counter() - began, peak


def _run(
    workflow: Callable[..., Result],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    threads: int | None,
) -> tuple[dict[str, Any], float]:
    if threads is not None:
        from splatseg.engine.threads import set_threads

        set_threads(threads)
    result = workflow(*arguments, **options).to_json()
    return result, _peak_gib()


def _peak_gib() -> float:
    """The most memory that this process had."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts the memory of the process that began it as well
        match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if match:
            return int(match[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
