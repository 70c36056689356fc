"""Which device is taken, what is said where there is none, and what the doctor tells of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import splatseg
from splatseg.cli import main
from splatseg.engine import library
from splatseg.errors import SplatsegError
from splatseg.render import gsplat
from splatseg.workflows import doctor
from splatseg.workflows.device import choose_device
from splatseg.workflows.doctor import inspect_machine

GpuOrNot = Callable[[bool], None]


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> GpuOrNot:
    """Have torch find a GPU, or none."""

    def pretend(found: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")

    return pretend


@pytest.fixture
def without_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    gsplat.library.cache_clear()


def test_auto_takes_a_gpu_that_gsplat_can_use(with_gpu: GpuOrNot, fake_gsplat) -> None:
    with_gpu(True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu").type == "cpu"
    with_gpu(False)
    assert choose_device("auto").type == "cpu"


def test_auto_stays_on_the_cpu_without_gsplat(with_gpu: GpuOrNot, without_gsplat) -> None:
    with_gpu(True)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[cuda\]"):
        choose_device("cuda")


def test_auto_does_not_hide_that_gsplat_cannot_be_compiled(
    with_gpu: GpuOrNot, fake_gsplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who installed it wants the GPU."""
    with_gpu(True)
    monkeypatch.setattr(sys.modules["gsplat.cuda._backend"], "_C", None)
    for name in ("auto", "cuda"):
        with pytest.raises(SplatsegError, match="no CUDA toolkit"):
            choose_device(name)


@pytest.mark.parametrize("verb", ["train", "pick", "cluster", "render", "evaluate"])
def test_cuda_without_a_gpu_is_refused_before_anything_is_written(
    verb: str, synthetic, trained_folder: Path, with_gpu: GpuOrNot, tmp_path: Path, capsys
) -> None:
    with_gpu(False)
    before = {path: path.stat().st_mtime_ns for path in trained_folder.rglob("*")}
    arguments = {
        "train": [synthetic.root, "-o", tmp_path / "out"],
        "pick": [trained_folder, "--at", "view_0:1,1", "-o", tmp_path / "out"],
        "cluster": [trained_folder],
        "render": [trained_folder, "-o", tmp_path / "out"],
        "evaluate": [trained_folder, synthetic.root],
    }[verb]
    assert main([verb, *map(str, arguments), "--device", "cuda", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(
        "splatseg: torch finds no GPU; expected an NVIDIA card"
    )
    assert not (tmp_path / "out").exists()
    assert {path: path.stat().st_mtime_ns for path in trained_folder.rglob("*")} == before


def test_every_verb_runs_on_a_gpu(scene_copy: Path, synthetic) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    if not gsplat.is_installed():
        pytest.skip("gsplat is not installed")
    column, row = synthetic.click(1, "view_0")
    for command in (
        ["cluster", scene_copy],
        ["pick", scene_copy, "--at", f"view_0:{column},{row}"],
        ["render", scene_copy, "--pick", "object"],
        *(
            ["evaluate", scene_copy, synthetic.root, "--protocol", protocol]
            for protocol in ("nvs", "click", "clusters")
        ),
    ):
        assert main([*map(str, command), "--device", "cuda"]) == 0


def test_the_device_is_no_part_of_a_run(
    synthetic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(synthetic.root), "-o", str(tmp_path), "--preset", "rgb"]
    arguments += ["--iterations", "2"]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert main([*arguments, "--device", "auto"]) == 0
    assert "already trained with these settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gpu", "gsplat_is_there", "problem"),
    [
        (True, True, None),
        (True, False, "rendering on a GPU needs gsplat: pip install splatseg[cuda]"),
        (False, False, "torch finds no GPU; expected an NVIDIA card"),
    ],
)
def test_the_doctor_tells_what_keeps_the_gpu_from_rendering(
    gpu: bool,
    gsplat_is_there: bool,
    problem: str | None,
    with_gpu: GpuOrNot,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request.getfixturevalue("fake_gsplat" if gsplat_is_there else "without_gsplat")
    with_gpu(gpu)
    report = inspect_machine()
    assert (report.backend == "gsplat") is (problem is None)
    assert report.cuda.gpu == ("a card" if gpu else None)
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    if problem is None:
        assert report.cuda.problem is None and "GPU rendering: a card, with gsplat" in shown
    else:
        assert (report.cuda.problem or "").startswith(problem)
        assert f"no GPU rendering: {problem}" in shown


def test_the_doctor_without_an_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["splatseg"] == splatseg.__version__ and report["packages"]["torch"]
    monkeypatch.setattr(library, "find_library", lambda: None)
    monkeypatch.setattr(doctor, "REQUIRED", ("torch", "no-such-package"))
    report = inspect_machine()
    assert report.native is None and report.backend == "reference"
    assert report.packages["no-such-package"] == "unknown"
    assert main(["doctor"]) == 0
    assert "native engine: not compiled" in capsys.readouterr().out
