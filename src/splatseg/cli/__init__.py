"""The command line: the only place that parses arguments or prints."""

import logging
import sys
from typing import Annotated, Any, Union

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
OUT_OF_MEMORY = {"DefaultCPUAllocator: ": "memory", "CUDA out of memory. ": "GPU memory"}
"""What torch's messages say before the reason, and of what."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for bad input, 3 nothing found, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    from splatseg.cli.flags import spell_flags
    from splatseg.errors import SplatsegError

    try:
        command = _parse(arguments)
        return _run(command)
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


def _parse(arguments: list[str]) -> Any:
    import tyro

    from splatseg.cli.capture import Capture
    from splatseg.cli.cluster import Cluster
    from splatseg.cli.doctor import Doctor
    from splatseg.cli.edit import Extract, Hide, Move, Recolor, Remove
    from splatseg.cli.evaluate import Evaluate
    from splatseg.cli.export import Export
    from splatseg.cli.lift import Lift
    from splatseg.cli.masks import Masks
    from splatseg.cli.pick import Pick
    from splatseg.cli.render import Render
    from splatseg.cli.train import preset_config, train_with_defaults

    def verb(name: str, **options: Any) -> Any:
        return tyro.conf.subcommand(name, prefix_name=False, **options)

    training: Any = train_with_defaults(preset_config(arguments))
    verbs: Any = Union[  # noqa: UP007, built from values, which `|` between annotations is not for
        Annotated[Capture, verb("capture")],
        Annotated[Masks, verb("masks")],
        Annotated[training, verb("train")],
        Annotated[Lift, verb("lift")],
        Annotated[Pick, verb("pick")],
        Annotated[Cluster, verb("cluster")],
        Annotated[Render, verb("render")],
        Annotated[Extract, verb("extract")],
        Annotated[Remove, verb("remove")],
        Annotated[Hide, verb("hide")],
        Annotated[Recolor, verb("recolor")],
        Annotated[Move, verb("move")],
        Annotated[Export, verb("export")],
        Annotated[Evaluate, verb("evaluate")],
        Annotated[Doctor, verb("doctor")],
    ]
    return tyro.cli(
        verbs,
        prog="splatseg",
        description="Segment 3D Gaussian scenes from photos and 2D masks that disagree.",
        args=arguments,
    )


def _run(command: Any) -> int:
    from splatseg.cli.output import Output
    from splatseg.engine.threads import set_threads
    from splatseg.errors import SplatsegError

    threads = getattr(command, "threads", None)
    if threads is not None:
        if threads < 1:
            raise SplatsegError(
                f"--threads is {threads}",
                expected="at least 1",
            )
        set_threads(threads)
    out = Output(command.json)
    out.result(command.run(out))
    return 0


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
        "lower --max-gaussians or a higher --downscale, masks with a smaller --grid"
    )
