"""What the command line shows: text and progress for people, one JSON object for programs.

With `--json`, stdout carries the JSON object and nothing else; everything for people goes to
stderr. rich is imported when something is shown: help and wrong arguments do without.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from splatseg.cli.progress_bar import ProgressBar

MAX_TABLE_WIDTH = 1000  # characters


class Output:
    """Where a command's words go."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(stderr=self.as_json, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line for people."""
        self._console.print(text, markup=False)

    def wrote(self, path: Path, what: str) -> None:
        """Name a file or folder that was written."""
        self.say(f"wrote {path}  ({what})")

    def next(self, command: str) -> None:
        """What to type next."""
        self.say(f"next: {command}")

    def table(self, rows: list[Mapping[str, Any]]) -> None:
        """Rows with the same keys, fractions with three digits; nothing without rows."""
        if not rows:
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
        for row in rows:
            table.add_row(*[_cell(value) for value in row.values()])
        # At its own width: where there is no terminal, rich would squeeze it into 80 columns.
        console = Console(stderr=self.as_json, highlight=False, width=MAX_TABLE_WIDTH)
        console.print(table)

    def result(self, data: Mapping[str, Any]) -> None:
        """The command's result: printed with `--json` only."""
        if self.as_json:
            print(json.dumps(data, indent=2, default=str))

    @contextmanager
    def progress_bar(self) -> Iterator["ProgressBar"]:
        """A bar with an ETA for each stage of a workflow; a plain line now and then elsewhere."""
        from splatseg.cli.progress_bar import open_progress_bar

        with open_progress_bar(self.say) as bar:
            yield bar


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
