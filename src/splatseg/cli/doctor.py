"""`splatseg doctor`."""

from dataclasses import dataclass
from typing import Any

from splatseg.cli.output import Output


@dataclass(frozen=True)
class Doctor:
    """Say what this machine can run, and what to install for the rest."""

    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Look, and print the report."""
        from splatseg.workflows.doctor import inspect_machine

        report = inspect_machine()
        out.say(f"splatseg {report.splatseg}, Python {report.python}, {report.system}")
        out.say(f"torch {report.packages['torch']}: {report.torch_build}")
        if report.native is not None:
            out.say(
                f"native engine: {report.native.instruction_set} (this machine can run "
                f"{', '.join(report.native.instruction_sets)}), {report.native.threads} threads"
            )
        else:
            out.say(
                "native engine: not compiled. Rendering works in plain torch and is slow; install "
                "a C++ compiler and reinstall splatseg to get it"
            )
        if report.cuda.problem:
            out.say(f"no GPU rendering: {report.cuda.problem}")
        else:
            out.say(f"GPU rendering: {report.cuda.gpu}, with gsplat {report.cuda.gsplat}")
        return report.to_json()
