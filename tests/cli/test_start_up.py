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
PROGRAM = f"""import sys; from splatseg.cli import main
try: status = main(sys.argv[1:])
except SystemExit as stop: status = stop.code
print(status, *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"""
STATUSES = {
    **dict.fromkeys(["--help", "--version", "train --help"], 0),
    **dict.fromkeys(["trian x", "pick x --no-such-flag", "masks no/such/place"], 2),
    **dict.fromkeys(["train no/such/place", "pick no/such/place --at a:1,2"], 2),
    **dict.fromkeys(["render no/such/place", "remove no/such/place -o x --object 1"], 2),
    "export no/such/place -o x.ply": 2,
}


@pytest.mark.parametrize("command", STATUSES)
def test_nothing_heavy_is_imported_for_help_typos_and_wrong_paths(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()],
        env=os.environ | {"PYTHONPATH": str(Path(splatseg.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == str(STATUSES[command])


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*verb.split(), "--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(word in shown for word in (("--json", f"splatseg {verb}") if verb else VERBS))


def test_parameters_become_flags() -> None:
    sentence = "pass `masks` NAME, `max_gaussians` or another `output`; `Picker` stays"
    assert spell_flags(sentence) == (
        "pass --masks NAME, --max-gaussians or another -o; `Picker` stays"
    )
