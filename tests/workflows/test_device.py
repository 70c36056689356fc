"""Which device is taken, what is said where there is none, and what the doctor tells of it."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from splatseg.cli import main
from splatseg.engine import library
from splatseg.errors import SplatsegError
from splatseg.render import gsplat
from splatseg.workflows import doctor
from splatseg.workflows.device import choose_device
from splatseg.workflows.doctor import inspect_machine

NO_GSPLAT = "rendering on a GPU needs gsplat: pip install splatseg[cuda]"
NO_GPU = "torch finds no GPU; expected an NVIDIA card"
NO_TOOLKIT = "no CUDA toolkit"
MACHINES = [
    # GPU, gsplat, what "auto" takes or refuses, what "cuda" does
    (True, "compiled", "cuda", "cuda"),
    (False, "compiled", "cpu", NO_GPU),
    (True, "missing", "cpu", NO_GSPLAT),
    (True, "not compiled", NO_TOOLKIT, NO_TOOLKIT),  # who installed it wants the GPU
    (False, "missing", "cpu", NO_GPU),
]


@pytest.mark.parametrize(("gpu", "extra", "auto", "cuda"), MACHINES)
def test_the_device_and_what_the_doctor_says(
    gpu: bool, extra: str, auto: str, cuda: str, fake_gsplat: ModuleType, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")
    if extra == "missing":
        monkeypatch.setitem(sys.modules, "gsplat", None)
    elif extra == "not compiled":
        monkeypatch.setattr(sys.modules["gsplat.cuda._backend"], "_C", None)
    assert choose_device("cpu").type == "cpu"
    for name, expected in (("auto", auto), ("cuda", cuda)):
        if expected in ("cpu", "cuda"):
            assert choose_device(name).type == expected
        else:
            with pytest.raises(SplatsegError) as caught:
                choose_device(name)
            assert expected in str(caught.value)
    report = inspect_machine()
    assert report.cuda.gpu == ("a card" if gpu else None)
    assert (report.backend == "gsplat") == (report.cuda.problem is None) == (cuda == "cuda")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    if report.cuda.problem is None:
        assert "GPU rendering: a card, with gsplat" in shown
    else:
        assert cuda in report.cuda.problem and f"no GPU rendering: {report.cuda.problem}" in shown


def test_the_doctor_without_an_engine(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(library, "find_library", lambda: None)
    monkeypatch.setattr(doctor, "REQUIRED", ("torch", "no-such-package"))
    report = inspect_machine()
    assert report.native is None and report.backend == "reference"
    assert report.packages["torch"] and report.packages["no-such-package"] == "unknown"
    assert main(["doctor"]) == 0
    assert "native engine: not compiled" in capsys.readouterr().out


def test_every_verb_runs_on_a_gpu(scene_copy: Path, synthetic) -> None:
    if not torch.cuda.is_available() or not gsplat.is_installed():
        pytest.skip("torch finds no GPU, or gsplat is not installed")
    x, y = synthetic.click(1, "view_0")
    measure = f"evaluate {{}} {synthetic.root} --protocol "
    commands = ["cluster {}", f"pick {{}} --at view_0:{x},{y}", "render {} --pick object"]
    for command in (*commands, *(measure + name for name in ("nvs", "click", "clusters"))):
        assert main([*command.format(scene_copy).split(), "--device", "cuda"]) == 0


def test_the_device_is_no_part_of_a_run(synthetic, tmp_path: Path, capsys) -> None:
    command = f"train {synthetic.root} -o {tmp_path} --preset rgb --iterations 2 --device ".split()
    assert main([*command, "cpu"]) == main([*command, "auto"]) == 0
    assert "already trained with these settings" in capsys.readouterr().out
