"""Edits of scene folders: what the new scene holds, and which folders they may replace."""

import errno
import os
from pathlib import Path

import pytest
import torch
from builders.progress import Recorder
from builders.two_squares import contents
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.scene import load_scene, save_labels
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint
from splatseg.workflows.edits import (
    Edit,
    Extract,
    Hide,
    Move,
    Recolor,
    Remove,
    edit_scene,
    refuse_foreign,
)

RED = (1.0, 0.0, 0.0)
QUARTER_TURN = (0.5**0.5, 0.0, 0.0, 0.5**0.5)


def labels_of(folder: Path) -> torch.Tensor:
    return load_scene(folder).labels


def test_extract_and_remove_divide_the_scene(labeled: Path, tmp_path: Path) -> None:
    before, progress = contents(labeled), Recorder()
    chosen = {"objects": [2], "selections": ["ball"]}
    only = edit_scene(labeled, tmp_path / "only", Extract(), **chosen)
    less = edit_scene(labeled, tmp_path / "less", Remove(), **chosen, progress=progress)
    stages = {"silhouettes": 8, "depth maps": 8, "unobserved regions": 10}
    assert progress.updates == [(s, done, n) for s, n in stages.items() for done in range(1, n + 1)]
    assert set(labels_of(tmp_path / "only").tolist()) == {1, 2}
    assert set(labels_of(tmp_path / "less").tolist()) == {0, 3}
    assert only.selected == only.gaussians == less.selected == len(labels_of(tmp_path / "only"))
    assert less.gaussians == len(labels_of(tmp_path / "less"))
    assert only.unobserved is None and 0 < less.unobserved < 1
    assert contents(labeled) == before
    for picture in (less.overview, less.unobserved_picture):
        with Image.open(picture) as image:
            assert image.width > 400


def test_unobserved_regions_are_a_selection_of_the_new_scene(labeled: Path, tmp_path: Path) -> None:
    less = edit_scene(labeled, tmp_path / "less", Remove(), objects=[1])
    seen = str(less.unobserved_selection)
    assert edit_scene(less.scene, tmp_path / "hidden", Hide(), selections=[seen]).selected > 0
    scene = load_scene(tmp_path / "hidden")
    assert scene.config["edits"] == ["remove 1", f"hide {seen}"]
    assert scene.capture == str(tmp_path / "hidden") and scene.metrics == {}


def test_colors_and_places_change_where_asked(labeled: Path, tmp_path: Path) -> None:
    def edited(edit: Edit) -> Path:
        return edit_scene(labeled, tmp_path / "new", edit, objects=[1]).scene

    old, labels = load_scene(labeled).gaussians, labels_of(labeled)
    ball = labels == 1
    recolored = load_scene(edited(Recolor(RED, strength=1.0))).gaussians
    assert torch.equal(recolored.sh[~ball], old.sh[~ball]) and len(recolored.sh[ball].unique()) == 2
    hidden = load_scene(edited(Hide())).gaussians
    assert hidden.opacities[ball].max() < 1e-3 < hidden.opacities[~ball].min()
    folder = edited(Move((0.0, 0.0, 1.0), QUARTER_TURN))
    moved, kept = load_scene(folder).gaussians.means, labels_of(folder)
    lifted = moved[kept == 1] - old.means[ball]
    torch.testing.assert_close(lifted[:, 2], torch.ones(len(lifted)))
    assert lifted[:, :2].abs().max() > 0.1  # turned about z
    assert torch.equal(moved[kept > 1], old.means[labels > 1])


def test_an_edit_replaces_an_edit_and_nothing_else(labeled: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    for _ in range(2):
        edit_scene(labeled, output, Hide(), objects=[1])
    (output / "notes.txt").write_text("mine")
    (tmp_path / "trained").mkdir()
    for name in ("scene.ply", "manifest.json", "features.safetensors", "labels.safetensors"):
        (tmp_path / "trained" / name).write_bytes((labeled / name).read_bytes())
    for folder, sentence in (
        (output, r"holds notes\.txt, and an edit replaces"),
        (labeled, "`output` is the scene itself"),
        (tmp_path / "trained", "holds a scene that no edit wrote"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            refuse_foreign(folder, labeled)


def test_a_scene_cannot_be_emptied(labeled: Path, tmp_path: Path) -> None:
    count = len(labels_of(labeled))
    save_labels(labeled, torch.ones(count, dtype=torch.long))
    assert edit_scene(labeled, tmp_path / "all", Extract(), objects=[1]).gaussians == count
    with pytest.raises(SplatsegError, match=f"all {count} Gaussians of the scene would go"):
        edit_scene(labeled, tmp_path / "new", Remove(), objects=[1])


def test_a_refused_edit_leaves_the_earlier_one(
    labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    edit_scene(labeled, tmp_path / "new", Hide(), objects=[1])
    gaussians = load_scene(labeled).gaussians
    nothing = Selection(torch.zeros(len(gaussians)), fingerprint(gaussians), ("nothing",))
    save_selection(labeled / "picks" / "none" / "selection.safetensors", nothing)
    before = contents(tmp_path)
    with pytest.raises(SplatsegError, match="no Gaussian belongs to the selection"):
        edit_scene(labeled, tmp_path / "new", Hide(), selections=["none"])
    with pytest.raises(SplatsegError, match="has no object 7; it has 1, 2, 3"):
        edit_scene(labeled, tmp_path / "new", Hide(), objects=[7])
    with pytest.raises(SplatsegError, match=r"the strength is 2\.0"):
        edit_scene(labeled, tmp_path / "new", Recolor(RED, 2.0), objects=[1])
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(SplatsegError, match=r"cannot write .*No space left"):
        edit_scene(labeled, tmp_path / "new", Hide(), objects=[2])
    assert contents(tmp_path) == before
