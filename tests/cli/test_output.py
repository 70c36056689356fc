"""What the command line shows, to people and to programs."""

import json
from pathlib import Path

import pytest

from splatseg.cli import output
from splatseg.cli.output import Output


def test_with_json_stdout_holds_the_object_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.say("hello [bold]")
    out.table([{"name": "cup", "miou": 0.5}])
    out.wrote(Path("a"), "this")
    out.next("that")
    out.result({"path": Path("a"), "n": 1})
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"path": "a", "n": 1}
    assert "hello [bold]" in shown.err and "cup" in shown.err


def test_without_json_people_read_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.wrote(Path("/a/very/long/path" * 20), "not wrapped")
    out.table([{"name": "cup", "miou": 0.12345, "at": None, "n": 7}])
    out.table([])
    out.result({"n": 1})
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"wrote {'/a/very/long/path' * 20}  (not wrapped)"
    assert shown[1].split() == ["name", "miou", "at", "n"]
    assert shown[2].split() == ["cup", "0.123", "None", "7"]
    assert len(shown) == 3


def test_a_wide_table_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    row = {f"a_long_column_name_{i}": "a long value without end" for i in range(8)}
    Output(as_json=False).table([row])
    shown = capsys.readouterr().out
    assert "a_long_column_name_7" in shown and "…" not in shown


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    with Output(as_json=False).progress("training", 200) as line:
        for done in range(1, 201):
            now[0] += 1
            line.update(done, "loss 0.1")
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 20
    assert lines[0] == "training: 10/200  3 min 10 s left  loss 0.1"
    assert lines[-1] == "training: 200/200  loss 0.1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 00 s"), (754.0, "12 min 34 s"), (7384.0, "2 h 03 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert output._duration(seconds) == text
