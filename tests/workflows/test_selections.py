"""Objects and earlier picks by name."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.scene import load_scene
from splatseg.segmentation import load_selection
from splatseg.workflows.selections import (
    SELECTION,
    find_selection,
    known_objects,
    object_weights,
    union_weights,
)


def test_objects_and_picks_by_name(labeled: Path) -> None:
    scene, folder = load_scene(labeled), labeled / "picks" / "ball"
    file = folder / SELECTION
    assert all(find_selection(str(n), labeled) == file for n in ("ball", folder, file))
    assert known_objects(scene, labeled) == [1, 2, 3]
    two, three = (object_weights(scene, labeled, number) for number in (2, 3))
    assert torch.equal(two, (scene.labels == 2).float())
    assert torch.equal(union_weights(scene, labeled, [2, 3], []), two + three)
    both = torch.maximum(two, load_selection(file, scene).weights)
    assert torch.equal(union_weights(scene, labeled, [2], ["ball"]), both)


def test_what_is_not_there_is_refused(labeled: Path) -> None:
    scene = load_scene(labeled)
    bare = replace(scene, labels=None, parts={})
    for ask, sentence in (
        (lambda: find_selection("pen", labeled), "there is no pick pen"),
        (lambda: union_weights(scene, labeled, [], []), "nothing is selected; expected an"),
        (lambda: object_weights(scene, labeled, 9), "has no object 9; it has 1, 2, 3"),
        (lambda: object_weights(bare, labeled, 3), "has no objects yet, so no object 3"),
        (lambda: known_objects(bare, labeled), "has no objects yet; run splatseg cluster"),
    ):
        with pytest.raises(SplatsegError) as caught:
            ask()
        assert sentence in str(caught.value) and "--" not in str(caught.value)
