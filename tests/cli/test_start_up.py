"""Help, typos and wrong paths: answered without what takes seconds to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import splatseg
from splatseg.cli import VERBS, main
from splatseg.cli.flags import spell_flags

HEAVY = ("torch", "numpy", "scipy", "PIL", "jaxtyping", "pycolmap")


def imported_by(*arguments: str) -> tuple[int, set[str]]:
    """The exit status of a command in a new process, and which of HEAVY it imported."""
    program = (
        "import sys; from splatseg.cli import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as stop: status = stop.code\n"
        f"print(status, *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    )
    source = str(Path(splatseg.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    status, *heavy = done.stderr.splitlines()[-1].split()
    return int(status), set(heavy)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("train", "--help"), 0),
        (("trian", "x"), 2),
        (("pick", "x", "--no-such-flag"), 2),
        *(((verb, "no/such/place", *more), 2) for verb, more in [
            ("masks", ()),
            ("train", ()),
            ("pick", ("--at", "a:1,2")),
            ("render", ()),
            ("remove", ("-o", "x", "--object", "1")),
            ("export", ("-o", "x.ply")),
        ]),
    ],
)  # fmt: skip
def test_nothing_heavy_is_imported_for_help_typos_and_wrong_paths(arguments, status: int) -> None:
    assert imported_by(*arguments) == (status, set())


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--json" in shown and f"splatseg {verb}" in shown


def test_parameters_become_flags() -> None:
    sentence = "pass `masks` NAME, `max_gaussians` or another `output`; `Picker` stays"
    assert spell_flags(sentence) == (
        "pass --masks NAME, --max-gaussians or another -o; `Picker` stays"
    )
