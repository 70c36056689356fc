"""Progress that tests look into, and that cancels work."""

from collections.abc import Callable, Mapping

from splatseg.progress import Canceled


class Recorder:
    """Keeps what it is told; cancels once the stage `cancel_in` has got to `cancel_at`."""

    def __init__(self, cancel_in: str | None = None, cancel_at: int = 0) -> None:
        self.updates: list[tuple[str, int, int]] = []
        self.notes: list[str] = []
        self._figures: list[Mapping[str, int | float]] = []
        self._cancel_in, self._cancel_at = cancel_in, cancel_at

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        self.updates.append((stage, done, total))
        self._figures.append(details or {})
        if stage == self._cancel_in and done >= self._cancel_at:
            raise Canceled

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def stages(self) -> list[str]:
        """Each stage once, in the order in which they began."""
        return list(dict.fromkeys(stage for stage, _, _ in self.updates))

    def steps(self, stage: str) -> list[int]:
        """The steps done of a stage, at each update."""
        return [done for name, done, _ in self.updates if name == stage]

    def details(self, stage: str, name: str) -> list[float]:
        """A figure of each update of a stage."""
        pairs = zip(self.updates, self._figures, strict=True)
        return [figures[name] for (found, _, _), figures in pairs if found == stage]

    def finished(self) -> bool:
        """Whether every stage went up from its beginning to its total."""
        counts = {
            stage: [(done, total) for other, done, total in self.updates if other == stage]
            for stage in self.stages
        }
        return all(
            [done for done, _ in steps] == sorted(done for done, _ in steps)
            and steps[-1][0] == steps[-1][1]
            for steps in counts.values()
        )


class At(Recorder):
    """Does something when `done` steps of `stage` are finished; cancels by default."""

    def __init__(self, stage: str, done: int, action: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._stage, self._done, self._action = stage, done, action

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, int | float] | None = None
    ) -> None:
        super().update(stage, done, total, details)
        if (stage, done) == (self._stage, self._done):
            if self._action is None:
                raise Canceled
            self._action()
