"""The command line: the only place that parses arguments, spells flags or prints.

Nothing heavy is imported before a command's arguments were parsed and its inputs were found: torch
takes seconds, a typo should not.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any, Union

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
OUT_OF_MEMORY = {"DefaultCPUAllocator: ": "memory", "CUDA out of memory. ": "GPU memory"}
"""What torch's messages say before the reason, and of what."""

VERBS = {
    "run": "run:Run",
    "capture": "capture:Capture",
    "masks": "masks:Masks",
    "train": "train:train_verb",
    "lift": "lift:Lift",
    "pick": "pick:Pick",
    "cluster": "cluster:Cluster",
    "render": "render:Render",
    "extract": "edit:Extract",
    "remove": "edit:Remove",
    "hide": "edit:Hide",
    "recolor": "edit:Recolor",
    "move": "edit:Move",
    "export": "export:Export",
    "evaluate": "evaluate:Evaluate",
    "doctor": "doctor:Doctor",
}
"""Each verb's module in this package and its dataclass, or a function of the arguments to one."""

INPUTS = {
    "capture": "a capture: a folder with images/, and sparse/ or transforms.json for the poses",
    "scene": "a scene folder, as splatseg train writes it",
    "photos": "a folder of photos, a video file, or a capture",
}
"""Fields of verbs that name what must be there, and what that is."""

SHORT_SPELLINGS = {"--grid": "--points-per-side", "--crop-grid": "--crop-points-per-side"}
"""Spellings that are accepted too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for bad input, 3 nothing found, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    from splatseg.cli.flags import spell_flags
    from splatseg.errors import SplatsegError

    try:
        return _run(_parse([_long_flag(argument) for argument in arguments]))
    except SplatsegError as error:
        print(f"splatseg: {spell_flags(str(error))}", file=sys.stderr)
        return error.exit_code
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print(f"splatseg: {_out_of_memory(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parse(arguments: Sequence[str]) -> Any:
    """The command that the arguments give; help and typos end the process here."""
    import tyro

    name = arguments[0] if arguments else ""
    if name == "--version":
        from splatseg.version import __version__

        print(f"splatseg {__version__}")
        raise SystemExit(0)
    if name in VERBS:
        return tyro.cli(_verb(name, arguments), prog=f"splatseg {name}", args=arguments[1:])
    # What remains is help, or a verb that does not exist: for both, names and purposes suffice.
    outlines = [
        Annotated[_outline(verb, arguments), tyro.conf.subcommand(verb, prefix_name=False)]
        for verb in VERBS
    ]
    verbs: Any = Union[tuple(outlines)]  # noqa: UP007, built from values
    return tyro.cli(
        verbs,
        prog="splatseg",
        description="Segment 3D Gaussian scenes from photos and 2D masks that disagree.",
        args=arguments,
    )


def _verb(name: str, arguments: Sequence[str]) -> Any:
    """The dataclass of a verb."""
    module, attribute = VERBS[name].split(":")
    found: type | Callable[[Sequence[str]], type]
    found = getattr(importlib.import_module(f"splatseg.cli.{module}"), attribute)
    return found if isinstance(found, type) else found(arguments)


def _outline(name: str, arguments: Sequence[str]) -> Any:
    """A verb without its flags."""
    outline = make_dataclass(name, [])
    outline.__doc__ = _verb(name, arguments).__doc__
    return outline


def _run(command: Any) -> int:
    from splatseg.cli.output import Output
    from splatseg.errors import SplatsegError

    for field, expected in INPUTS.items():
        path = getattr(command, field, None)
        if isinstance(path, Path) and not path.exists():
            raise SplatsegError(f"{path} does not exist", expected=expected)
    threads = getattr(command, "threads", None)
    if threads is not None:
        if threads < 1:
            raise SplatsegError(f"--threads is {threads}", expected="at least 1")
        from splatseg.engine.threads import set_threads

        set_threads(threads)
    out = Output(command.json)
    out.result(command.run(out))
    return 0


def _long_flag(argument: str) -> str:
    """A flag as `--help` lists it."""
    name, equals, value = argument.partition("=")
    return SHORT_SPELLINGS.get(name, name) + equals + value


def _is_out_of_memory(error: Exception) -> bool:
    """NumPy and the engine raise MemoryError, torch a RuntimeError that only its text tells."""
    return isinstance(error, MemoryError) or any(start in str(error) for start in OUT_OF_MEMORY)


def _out_of_memory(error: Exception) -> str:
    reason, memory = str(error), "memory"
    for start, of in OUT_OF_MEMORY.items():
        if start in reason:
            reason, memory = reason.rpartition(start)[2].partition(". ")[0], of
    found = f"out of {memory} ({reason})" if reason else f"out of {memory}"
    return (
        f"{found}; close other programs and run the command again; train also with --restart and a "
        "lower --max-gaussians or a higher --downscale, masks with fewer --points-per-side"
    )
