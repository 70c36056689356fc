"""`splatseg masks`: what it prints, its flags, and what it does when they name no work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from builders import two_squares as scene

from splatseg.cli import main
from splatseg.masks import write_label_map
from splatseg.models import segmenters
from splatseg.workflows import masks as workflow

QUICK = ("--grid", "4", "--crops", "0", "--no-boxes")

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def model(tmp_path: Path, tiny_sam: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only one in the cache folder of models."""
    monkeypatch.setattr(segmenters, "cache_folder", lambda: tmp_path / "models")
    return tiny_sam.write_tiny_sam(tmp_path / "models" / "tiny", side=128)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return scene.write_photos(tmp_path / "capture")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the verb: its exit status and stdout."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        return main(["masks", *map(str, arguments)]), capsys.readouterr().out

    return run


def test_what_people_and_programs_read(root: Path, model: Path, run: Run) -> None:
    photo = root / "images" / "a.png"
    photo.write_bytes(photo.read_bytes()[:120])
    confetti = np.random.default_rng(0).integers(0, 2, (24, 32, 3)).repeat(4, 0).repeat(4, 1)
    scene.Image.fromarray((255 * confetti).astype(np.uint8)).save(root / "images" / "b.png")
    status, out = run(root, "--model", model, *QUICK, "--threads", 1)
    assert status == 0
    assert "masks of 3 photos by tiny\n" in out and "left out: " in out
    assert "photos that cannot be read, and so have no file: 1" in out
    assert "photos without any mask: 1 (the first is b)" in out
    assert f"wrote {root / 'masks' / 'tiny'}  (2 photos, " in out
    assert " s a photo)" in out and f"next: splatseg capture {root}" in out
    scene.write_photos(root)
    scene.add_poses(root, test=("a",))
    _, out = run(root, "--model", model, *QUICK)
    assert "1 photos are held out and get none; --all makes theirs too" in out
    assert "tiny has them all  (2 photos, " in out and "wrote" not in out
    assert f"next: splatseg train {root} --masks tiny" in out
    _, out = run(root, "--model", model, *QUICK, "--all", "--preview", "--stats", "--json")
    result = json.loads(out)
    assert list(result) == ["masks", "model", "photos", "made", "empty", "unreadable",
                            "masks_per_photo", "seconds_per_photo", "preview",
                            "statistics"]  # fmt: skip
    assert result["masks"] == str(root / "masks" / "tiny") and result["photos"] == 3
    assert result["preview"] == str(root / "mask_previews" / "tiny")
    assert [photo["frame"] for photo in result["statistics"]["photos"]] == list(scene.PHOTOS)


def test_a_preview_of_nothing_makes_masks_and_ctrl_c_stops_it(
    root: Path, model: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "generate_masks", Mock(side_effect=KeyboardInterrupt))
    status, out = run(root, "--preview")
    assert status == 130 and "masks of 3 photos by tiny" in out
    assert "stopped; 0 of 3 photos have their masks in" in out
    assert "run the same command to go on" in out


def test_what_is_there_is_looked_at_without_a_model(
    root: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "load_segmenter", Mock(side_effect=AssertionError))
    for view, name in enumerate("ab"):
        labels = scene.square("red", view) + 2 * scene.square("green", view).astype(np.uint8)
        write_label_map(tmp_path / "theirs" / f"{name}.png", labels.astype(np.uint8))
    _, out = run(root, "--import", tmp_path / "theirs", "--name", "mine", "--json")
    assert list(json.loads(out))[:3] == ["masks", "format", "photos"]
    for number in range(30):
        shutil.copy(root / "images" / "a.png", root / "images" / f"new{number:02d}.png")
    before = scene.contents(root / "masks")
    status, out = run(root, "--preview", "--stats")
    assert status == 0 and scene.contents(root / "masks") == before
    assert sorted(scene.contents(root / "mask_previews" / "mine")) == ["a.jpg", "b.jpg"]
    assert "coverage" in out and "all 2" in out
    more = 31 - out.count("has no mask file in")
    assert 0 < more < 31 and f"… and {more} more; --json names them all" in out
    assert list(json.loads(run(root, "--stats", "--json")[1])) == ["masks", "statistics"]
