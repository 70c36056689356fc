"""Edits and exports when things go wrong: another scene's pick, full disks, empty selections."""

import errno
import os
from pathlib import Path

import pytest

from splatseg.cli import main
from splatseg.scene import load_scene

VERBS = ("extract", "remove", "hide", "move", "recolor", "export")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def command(verb: str, scene: Path, output: Path, *selected: object) -> list[str]:
    more = {"recolor": ("--color", "red"), "export": ("--format", "ply")}
    return [verb, *map(str, (scene, "-o", output, *selected, *more.get(verb, ())))]


def output_of(verb: str, folder: Path) -> Path:
    return folder / ("object.ply" if verb == "export" else "edited")


@pytest.fixture
def picked(scene_copy: Path, synthetic) -> Path:
    x, y = synthetic.click(1, "view_0")
    assert main(["pick", str(scene_copy), "--at", f"view_0:{x},{y}", "--name", "ball"]) == 0
    return scene_copy


@pytest.mark.parametrize("verb", VERBS)
def test_a_pick_of_another_scene_is_refused(
    verb: str, picked: Path, tmp_path: Path, refused
) -> None:
    other = tmp_path / "other"
    assert main(["extract", str(picked), "-o", str(other), "--selection", "ball"]) == 0
    pick = picked / "picks" / "ball"
    output = output_of(verb, tmp_path)
    sentence = refused(*command(verb, other, output, "--selection", pick))
    assert "is of another scene" in sentence and "pick it again in this scene" in sentence
    assert not output.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_leaves_all_as_it_was(
    verb: str, picked: Path, tmp_path: Path, refused, monkeypatch
) -> None:
    output = output_of(verb, tmp_path)
    arguments = command(verb, picked, output, "--selection", "ball")
    assert main(arguments) == 0
    before = files(tmp_path)

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        sentence = refused(*arguments)
    assert "cannot write" in sentence and "No space left" in sentence
    assert files(tmp_path) == before
    if verb != "export":
        load_scene(output)


@pytest.mark.parametrize("verb", VERBS)
def test_a_selection_of_nothing_is_refused(
    verb: str, picked: Path, tmp_path: Path, refused
) -> None:
    empty = ("--subtract", "ball", "--name", "none")
    assert main(["pick", str(picked), "--add", "ball", *empty]) == 0
    assert not (picked / "picks" / "none" / "gaussians.ply").exists()
    output = output_of(verb, tmp_path)
    sentence = refused(*command(verb, picked, output, "--selection", "none"))
    assert "no Gaussian" in sentence
    assert not output.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_an_object_that_does_not_exist_is_refused(
    verb: str, picked: Path, tmp_path: Path, refused
) -> None:
    output = output_of(verb, tmp_path)
    sentence = refused(*command(verb, picked, output, "--object", 1))
    assert "has no objects yet" in sentence and "splatseg cluster" in sentence
    assert main(["cluster", str(picked)]) == 0
    sentence = refused(*command(verb, picked, output, "--object", 99))
    assert "has no object 99; it has 1, 2, 3" in sentence
    assert not output.exists()


def test_everything_selected(picked: Path, tmp_path: Path, refused) -> None:
    everything = ("--add", "ball", "--grow", 1000, "--name", "all")
    assert main(["pick", str(picked), *map(str, everything)]) == 0
    count = len(load_scene(picked).gaussians)
    copy = tmp_path / "copy"
    assert main(command("extract", picked, copy, "--selection", "all")) == 0
    assert len(load_scene(copy).gaussians) == count
    sentence = refused(*command("remove", picked, tmp_path / "none", "--selection", "all"))
    assert f"all {count} Gaussians of the scene would go" in sentence
