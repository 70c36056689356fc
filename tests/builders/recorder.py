"""A progress that remembers what it was told."""

from collections.abc import Mapping


class Recorder:
    """`stages` are (done, total) by stage, in order; `notes` are sentences."""

    def __init__(self) -> None:
        self.stages: dict[str, list[tuple[int, int]]] = {}
        self.notes: list[str] = []

    def update(
        self, stage: str, done: int, total: int, details: Mapping[str, float] | None = None
    ) -> None:
        self.stages.setdefault(stage, []).append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)
