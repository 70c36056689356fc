"""A disk on which nothing happens any more from some step on: what a kill leaves behind."""

from pathlib import Path

import pytest


class Killed(BaseException):
    """The process is gone: nothing that it would have done after this happens."""


class DyingDisk:
    """Counts the changes that a program makes to a disk, and makes none from step `last` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.steps = 0
        self.last = 0

    def plug_in(self, last: int) -> None:
        self.steps, self.last = 0, last
        for target in (
            "os.replace",
            "os.fsync",
            "shutil.rmtree",
            "pathlib.Path.mkdir",
            "pathlib.Path.rmdir",
            "pathlib.Path.unlink",
        ):
            self._wrap(target)

    def unplug(self) -> None:
        self._monkeypatch.undo()

    def _wrap(self, target: str) -> None:
        def step(*args: object, **kwargs: object) -> object:
            if self.steps >= self.last:
                raise Killed
            self.steps += 1
            return real(*args, **kwargs)

        module, _, name = target.rpartition(".")
        real = getattr(Path if module == "pathlib.Path" else __import__(module), name)
        self._monkeypatch.setattr(target, step)
