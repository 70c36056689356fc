"""The command line's `Progress`: a bar for each stage, or a plain line now and then."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

PLAIN_INTERVAL = 10.0  # seconds between progress lines when stderr is no terminal


class ProgressBar:
    """The command line's `splatseg.progress.Progress`."""

    def __init__(self, say: Callable[[str], None], bars: Progress | None) -> None:
        self._say, self._bars = say, bars
        self._stage, self._task, self._first = "", TaskID(0), 0
        self._began = self._printed = time.monotonic()

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        """See `Progress.update`; the time left is that of the stage, at its pace since it began."""
        now = time.monotonic()
        if stage != self._stage:
            self._begin(stage, done, total, now)
        text = f"{done}/{total}"
        if self._first < done < total:
            pace = (now - self._began) / (done - self._first)
            text += f"  {_duration(pace * (total - done))} left"
        text = "  ".join([text, *(f"{name} {_figure(v)}" for name, v in (details or {}).items())])
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total, details=text)
        elif now - self._printed >= PLAIN_INTERVAL:
            self._printed = now
            print(f"{stage}: {text}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._say(text)

    def _begin(self, stage: str, done: int, total: int, now: float) -> None:
        if self._bars is not None:
            if self._stage:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(stage, total=total, details="")
        self._stage, self._first, self._began = stage, done, now


@contextmanager
def open_progress_bar(say: Callable[[str], None]) -> Iterator[ProgressBar]:
    """A bar on stderr while the block runs; `say` shows its notes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressBar(say, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), _Details())
    with Progress(*columns, console=console, transient=True) as bars:
        yield ProgressBar(say, bars)


class _Details(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["details"])


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _figure(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
