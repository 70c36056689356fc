"""How long work tells how far it is, and how it is stopped."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class Canceled(KeyboardInterrupt):
    """Raised by a `Progress` to stop the work: what Ctrl-C keeps, canceling keeps."""


@runtime_checkable
class Progress(Protocol):
    """What a workflow reports to: a progress bar, a web page, a log.

    Either method may raise `Canceled`.
    """

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        """`done` of `total` steps of a stage are finished.

        Stages follow each other; each begins with its first update. `details` are figures that go
        with it, such as {"loss": 0.03}.
        """
        ...

    def note(self, text: str) -> None:
        """One sentence that a person should read, such as what was left out and why."""
        ...


class Silent:
    """A progress that nobody watches."""

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


SILENT = Silent()


def tracked(items: Sequence[T], stage: str, progress: Progress) -> Iterator[T]:
    """The items of a stage in turn; each counts as done when the next one is asked for."""
    for done, item in enumerate(items, start=1):
        yield item
        progress.update(stage, done, len(items))
