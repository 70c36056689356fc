"""Objects and earlier picks by name."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.scene import Scene
from splatseg.segmentation import Selection, save_selection
from splatseg.segmentation.selection import fingerprint
from splatseg.workflows.selections import (
    SELECTION,
    find_selection,
    known_objects,
    object_weights,
    union_weights,
)


@pytest.fixture(scope="module")
def labelled(trained: Scene) -> Scene:
    """Object 3 is the first tenth of the Gaussians, 7 the last."""
    labels = torch.zeros(len(trained.gaussians), dtype=torch.long)
    tenth = len(labels) // 10
    labels[:tenth], labels[-tenth:] = 3, 7
    return replace(trained, labels=labels)


def saved(scene: Scene, folder: Path) -> Selection:
    weights = torch.linspace(0, 1, len(scene.gaussians))
    selection = Selection(weights, fingerprint(scene.gaussians), ("by hand",))
    save_selection(folder / "picks" / "cup" / SELECTION, selection)
    return selection


def test_a_pick_is_found_by_name_folder_or_file(labelled: Scene, tmp_path: Path) -> None:
    saved(labelled, tmp_path)
    folder = tmp_path / "picks" / "cup"
    for name in ("cup", str(folder), str(folder / SELECTION)):
        assert find_selection(name, tmp_path) == folder / SELECTION
    with pytest.raises(SplatsegError, match="there is no pick pen"):
        find_selection("pen", tmp_path)


def test_objects_and_picks_are_united(labelled: Scene, tmp_path: Path) -> None:
    selection = saved(labelled, tmp_path)
    assert known_objects(labelled, tmp_path) == [3, 7]
    three, seven = (object_weights(labelled, tmp_path, number) for number in (3, 7))
    assert torch.equal(three, (labelled.labels == 3).float())
    assert torch.equal(union_weights(labelled, tmp_path, [3, 7], []), three + seven)
    both = union_weights(labelled, tmp_path, [3], ["cup"])
    assert torch.equal(both, torch.maximum(three, selection.weights))


def test_what_is_not_there_is_refused(labelled: Scene, tmp_path: Path) -> None:
    bare = replace(labelled, labels=None)
    for ask, sentence in (
        (lambda: union_weights(labelled, tmp_path, [], []), "nothing is selected; expected an"),
        (lambda: object_weights(labelled, tmp_path, 9), "has no object 9; it has 3, 7"),
        (lambda: object_weights(bare, tmp_path, 3), "has no objects yet, so no object 3"),
        (lambda: known_objects(bare, tmp_path), "has no objects yet; run splatseg cluster"),
    ):
        with pytest.raises(SplatsegError) as caught:
            ask()
        assert sentence in str(caught.value) and "--" not in str(caught.value)
