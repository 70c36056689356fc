"""Edits of scene folders: what the new scene holds, and which folders they may replace."""

import errno
import os
from pathlib import Path

import pytest
import torch
from builders.progress import Recorder
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
EDITS = (Extract(), Remove(), Hide(), Recolor(RED), Move())


def labels_of(folder: Path) -> torch.Tensor:
    labels = load_scene(folder).labels
    assert labels is not None
    return labels


def test_extract_and_remove_divide_the_scene(labeled: Path, tmp_path: Path) -> None:
    before = (labeled / "scene.ply").read_bytes()
    only = edit_scene(labeled, tmp_path / "only", Extract(), objects=[2], selections=["ball"])
    less = edit_scene(labeled, tmp_path / "less", Remove(), objects=[2], selections=["ball"])

    labels = labels_of(tmp_path / "only")
    assert set(labels.tolist()) == {1, 2}
    assert only.selected == only.gaussians == less.selected == len(labels)
    assert only.unobserved is None and "unseen" not in only.to_json()
    assert set(labels_of(tmp_path / "less").tolist()) == {0, 3}
    assert less.gaussians == len(labels_of(tmp_path / "less"))
    assert (labeled / "scene.ply").read_bytes() == before
    assert less.unobserved is not None and 0 < less.unobserved < 1
    assert less.to_json() == {
        "scene": str(tmp_path / "less"),
        "selected": less.selected,
        "gaussians": less.gaussians,
        "unseen": less.unobserved,
    }
    for picture in (less.overview, less.unobserved_picture):
        with Image.open(picture) as image:
            assert image.width > 400


def test_unobserved_regions_are_a_selection_of_the_new_scene(labeled: Path, tmp_path: Path) -> None:
    selection = str(
        edit_scene(labeled, tmp_path / "less", Remove(), objects=[1]).unobserved_selection
    )
    hidden = edit_scene(tmp_path / "less", tmp_path / "hidden", Hide(), selections=[selection])
    assert hidden.selected > 0
    scene = load_scene(tmp_path / "hidden")
    assert scene.config["edits"] == ["remove 1", f"hide {selection}"]
    assert scene.capture == str(tmp_path / "hidden") and scene.metrics == {}


def test_colors_and_places_change_where_asked(labeled: Path, tmp_path: Path) -> None:
    def edited(edit: Edit) -> Path:
        return edit_scene(labeled, tmp_path / "new", edit, objects=[1]).scene

    old, labels = load_scene(labeled).gaussians, labels_of(labeled)
    ball = labels == 1
    recolored = load_scene(edited(Recolor(RED, strength=1.0))).gaussians
    assert torch.equal(recolored.sh[~ball], old.sh[~ball])
    assert len(recolored.sh[ball].unique()) == 2
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
    refused = {
        (output, labeled): r"holds notes\.txt, and an edit replaces",
        (labeled, labeled): "`output` is the scene itself",
        (tmp_path / "trained", labeled): "holds a scene that no edit wrote",
    }
    for (folder, scene), sentence in refused.items():
        with pytest.raises(SplatsegError, match=sentence):
            refuse_foreign(folder, scene)
    with pytest.raises(SplatsegError, match="is the scene itself"):
        edit_scene(labeled, labeled, Hide(), objects=[1])


@pytest.mark.parametrize(
    ("edit", "selected", "sentence"),
    [
        (Hide(), {}, "nothing is selected"),
        (Hide(), {"objects": [7]}, "has no object 7; it has 1, 2, 3"),
        (Hide(), {"selections": ["cup"]}, "there is no pick cup"),
        (Recolor(RED, 2.0), {"objects": [1]}, "the strength is 2.0"),
        (Move(scale=0.0), {"objects": [1]}, "the scale is 0.0"),
    ],
)
def test_a_refused_edit_writes_nothing(
    edit: Edit, selected: dict[str, list], sentence: str, labeled: Path, tmp_path: Path
) -> None:
    with pytest.raises(SplatsegError, match=sentence):
        edit_scene(labeled, tmp_path / "new", edit, **selected)
    assert not (tmp_path / "new").exists()


def test_a_scene_cannot_be_emptied(labeled: Path, tmp_path: Path) -> None:
    count = len(labels_of(labeled))
    save_labels(labeled, torch.ones(count, dtype=torch.long))
    assert edit_scene(labeled, tmp_path / "all", Extract(), objects=[1]).gaussians == count
    with pytest.raises(SplatsegError, match=f"all {count} Gaussians of the scene would go"):
        edit_scene(labeled, tmp_path / "new", Remove(), objects=[1])


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_a_selection_of_nothing_is_refused(edit: Edit, labeled: Path, tmp_path: Path) -> None:
    gaussians = load_scene(labeled).gaussians
    nothing = Selection(torch.zeros(len(gaussians)), fingerprint(gaussians), ("nothing",))
    save_selection(labeled / "picks" / "none" / "selection.safetensors", nothing)
    with pytest.raises(SplatsegError, match="no Gaussian belongs to the selection"):
        edit_scene(labeled, tmp_path / "new", edit, selections=["none"])


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_a_full_disk_leaves_the_earlier_edit(
    edit: Edit, labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    output = tmp_path / "new"
    edit_scene(labeled, output, edit, objects=[1])
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(SplatsegError, match=r"cannot write .*No space left"):
            edit_scene(labeled, output, edit, objects=[2])
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"scene", "new"}


def test_a_removal_tells_how_far_it_is(labeled: Path, tmp_path: Path) -> None:
    progress = Recorder()
    edit_scene(labeled, tmp_path / "new", Remove(), objects=[1], progress=progress)
    stages = {"silhouettes": 8, "depth maps": 8, "unobserved regions": 10}
    assert progress.updates == [(s, done, n) for s, n in stages.items() for done in range(1, n + 1)]
