"""What the command line shows, to people and to programs."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from splatseg.cli import progress_bar
from splatseg.cli.output import Output


def test_with_json_stdout_holds_the_object_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.say("hello [bold]")
    out.table([{"name": "cup", "miou": 0.5}])
    out.next("that")
    out.result({"path": Path("a"), "n": 1})
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"path": "a", "n": 1}
    assert "hello [bold]" in shown.err and "cup" in shown.err


def test_without_json_people_read_stdout_uncut(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.wrote(Path("/a/very/long/path" * 20), "not wrapped")
    out.table([{"name": "cup", "miou": 0.12345, "at": None, "n": 7}])
    out.table([])
    out.result({"n": 1})
    out.table([{f"a_long_column_name_{i}": "a long value without end" for i in range(8)}])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"wrote {'/a/very/long/path' * 20}  (not wrapped)"
    assert shown[1].split() == ["name", "miou", "at", "n"]
    assert shown[2].split() == ["cup", "0.123", "None", "7"]
    assert "a_long_column_name_7" in shown[3] and not any("…" in line for line in shown)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_a_bar_or_a_line_now_and_then(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    console = partial(Console, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(progress_bar, "Console", console)
    with Output(as_json=False).progress_bar() as progress:
        progress.update("reading", 0, 1)
        for done in range(1, 201):
            now[0] += 1
            progress.update("training", done, 200, {"loss": 0.1})
    shown = capsys.readouterr()
    assert shown.out == ""
    if is_terminal:
        assert "training" in shown.err and "━" in shown.err and "loss 0.1" in shown.err
    else:
        lines = shown.err.splitlines()
        assert len(lines) == 20 and lines[-1] == "training: 200/200  loss 0.1"
        assert re.fullmatch(r"training: 10/200  \d min \d\d s left  loss 0.1", lines[0])


def test_durations() -> None:
    texts = {0.2: "0 s", 59.6: "1 min 00 s", 754.0: "12 min 34 s", 7384.0: "2 h 03 min"}
    assert {seconds: progress_bar._duration(seconds) for seconds in texts} == texts
