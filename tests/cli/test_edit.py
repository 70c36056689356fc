"""`extract`, `remove`, `hide`, `recolor` and `move`, on the synthetic scene."""

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from splatseg.cli.edit import (
    Edit,
    Extract,
    Hide,
    Move,
    Recolor,
    Remove,
    parse_color,
    parse_rotation,
)
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.scene import load_scene, save_labels, save_scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint


@pytest.fixture
def labeled(true_scene, trained, tmp_path: Path) -> Path:
    """The true scene as a scene folder, each ball an object."""
    gaussians, labels = true_scene
    scene = dataclasses.replace(trained, gaussians=gaussians, labels=None, parts={}, levels={})
    save_scene(tmp_path / "scene", scene)
    save_labels(tmp_path / "scene", labels)
    return tmp_path / "scene"


def run(verb: Edit) -> dict[str, object]:
    return verb.run(Output(as_json=True))


def test_extract_and_remove_divide_the_scene(labeled: Path, tmp_path: Path) -> None:
    before = (labeled / "scene.ply").read_bytes()
    only = run(Extract(scene=labeled, object=[1, 2], output=tmp_path / "only"))
    less = run(Remove(scene=labeled, object=[1, 2], output=tmp_path / "less"))

    labels = load_scene(tmp_path / "only").labels
    assert labels is not None and set(labels.tolist()) == {1, 2}
    assert only["selected"] == only["gaussians"] == len(labels)
    rest = load_scene(tmp_path / "less")
    assert rest.labels is not None and set(rest.labels.tolist()) == {0, 3}
    assert less["gaussians"] == len(rest.gaussians)
    assert 0 < less["unseen"] < 1  # type: ignore[operator]
    for name in ("overview.png", "unseen.png"):
        with Image.open(tmp_path / "less" / name) as picture:
            assert picture.width > 400
    assert (labeled / "scene.ply").read_bytes() == before


def test_what_was_never_photographed_is_a_selection(labeled: Path, tmp_path: Path) -> None:
    run(Remove(scene=labeled, object=[1], output=tmp_path / "less"))
    unseen = str(tmp_path / "less" / "unseen.safetensors")
    told = run(Hide(scene=tmp_path / "less", selection=[unseen], output=tmp_path / "told"))
    assert told["selected"] > 0  # type: ignore[operator]
    assert load_scene(tmp_path / "told").config["edits"] == ["remove 1", f"hide {unseen}"]


def test_a_pick_by_name_and_an_object_together(labeled: Path, tmp_path: Path) -> None:
    scene = load_scene(labeled)
    assert scene.labels is not None
    weights = (scene.labels == 3).float()
    pick = Selection(weights, fingerprint(scene.gaussians), ("ball 3",))
    save_selection(labeled / "picks" / "blue" / "selection.safetensors", pick)
    run(Extract(scene=labeled, object=[1], selection=["blue"], output=tmp_path / "both"))
    labels = load_scene(tmp_path / "both").labels
    assert labels is not None and set(labels.tolist()) == {1, 3}


def test_colors_and_places_change_where_asked(labeled: Path, tmp_path: Path) -> None:
    old = load_scene(labeled)
    assert old.labels is not None
    ball, ground = old.labels == 1, old.labels == 0
    red = Recolor(scene=labeled, object=[1], color="#ff0000", strength=1.0, output=tmp_path / "red")
    run(red)
    run(Hide(scene=labeled, object=[1], output=tmp_path / "hidden"))
    recolored, hidden = (load_scene(tmp_path / name).gaussians for name in ("red", "hidden"))
    assert torch.equal(recolored.sh[ground], old.gaussians.sh[ground])
    assert len(recolored.sh[ball].unique()) == 2
    assert hidden.opacities[ball].max() < 1e-3 < hidden.opacities[~ball].min()

    run(Move(scene=labeled, object=[1], by="0,0,1", rotate="z,90", output=tmp_path / "moved"))
    moved = load_scene(tmp_path / "moved")
    assert moved.labels is not None
    lifted = moved.gaussians.means[moved.labels == 1] - old.gaussians.means[ball]
    torch.testing.assert_close(lifted[:, 2], torch.ones(len(lifted)))
    others = moved.labels > 1
    assert torch.equal(moved.gaussians.means[others], old.gaussians.means[old.labels > 1])


def test_an_edit_replaces_an_edit_and_nothing_else(labeled: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    for _ in range(2):
        run(Hide(scene=labeled, object=[1], output=output))
    (output / "notes.txt").write_text("mine")
    with pytest.raises(SplatsegError, match=r"holds notes\.txt"):
        run(Hide(scene=labeled, object=[1], output=output))
    with pytest.raises(SplatsegError, match="-o is the scene itself"):
        run(Hide(scene=labeled, object=[1], output=labeled))
    with pytest.raises(SplatsegError, match="holds a scene that no edit wrote"):
        run(Hide(scene=output, object=[1], output=labeled))


@pytest.mark.parametrize(
    ("verb", "changes", "sentence"),
    [
        (Hide, {}, "nothing is selected; expected --object ID"),
        (Hide, {"object": [7]}, "has no object 7; it has 1, 2, 3"),
        (Hide, {"selection": ["cup"]}, "there is no pick cup"),
        (Recolor, {"object": [1], "color": "rouge"}, "--color rouge is no color"),
        (Recolor, {"object": [1], "color": "red", "strength": 2.0}, "the strength is 2.0"),
        (Move, {"object": [1], "by": "1,2"}, "--by 1,2 is not X,Y,Z"),
        (Move, {"object": [1], "by": "1,2,nan"}, "--by 1,2,nan is not X,Y,Z"),
        (Move, {"object": [1], "rotate": "up,90"}, "is not AXIS,DEGREES, as in z,90, or W,X,Y,Z"),
        (Move, {"object": [1], "scale": 0.0}, "the scale is 0.0"),
    ],
)
def test_what_cannot_be_edited_is_one_sentence(
    verb: type[Edit], changes: dict[str, object], sentence: str, labeled: Path, tmp_path: Path
) -> None:
    with pytest.raises(SplatsegError) as caught:
        run(verb(scene=labeled, output=tmp_path / "new", **changes))  # type: ignore[arg-type]
    assert sentence in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_scene_cannot_be_emptied(labeled: Path, tmp_path: Path) -> None:
    count = len(load_scene(labeled).gaussians)
    save_labels(labeled, torch.ones(count, dtype=torch.long))
    with pytest.raises(SplatsegError, match=f"all {count} Gaussians of the scene would go"):
        run(Remove(scene=labeled, object=[1], output=tmp_path / "new"))


def test_colors_and_rotations_as_they_are_typed() -> None:
    assert parse_color("#ff8000").tolist() == pytest.approx([1, 128 / 255, 0])
    assert parse_rotation("y,180").tolist() == pytest.approx([0, 0, 1, 0], abs=1e-6)
    assert parse_rotation("1,0,0,2").tolist() == [1, 0, 0, 2]
