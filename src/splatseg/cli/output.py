"""What the command line shows: text and progress for people, one JSON object for programs.

With `--json`, stdout carries the JSON object and nothing else; everything for people goes to
stderr.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

MAX_TABLE_WIDTH = 1000  # characters
PLAIN_INTERVAL = 10.0  # seconds between progress lines when stderr is no terminal


class Output:
    """Where a command's words go."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line for people."""
        self.console.print(text, markup=False)

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
        console = Console(stderr=True)
        if not console.is_terminal:
            yield ProgressBar(self, None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), _Details())
        with Progress(*columns, console=console, transient=True) as bars:
            yield ProgressBar(self, bars)


class ProgressBar:
    """The command line's `splatseg.progress.Progress`."""

    def __init__(self, out: Output, bars: Progress | None) -> None:
        self._out, self._bars = out, bars
        self._stage, self._task = "", TaskID(0)
        self._began = self._printed = time.monotonic()

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        """See `Progress.update`; the time left is that of the stage."""
        now = time.monotonic()
        if stage != self._stage:
            self._begin(stage, total, now)
        text = f"{done}/{total}"
        if 0 < done < total:
            text += f"  {_duration((now - self._began) / done * (total - done))} left"
        text = "  ".join([text, *(f"{name} {_figure(v)}" for name, v in (details or {}).items())])
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total, details=text)
        elif now - self._printed >= PLAIN_INTERVAL:
            self._printed = now
            print(f"{stage}: {text}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._out.say(text)

    def _begin(self, stage: str, total: int, now: float) -> None:
        if self._bars is not None:
            if self._stage:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(stage, total=total, details="")
        self._stage, self._began = stage, now


class _Details(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["details"])


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figure(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
