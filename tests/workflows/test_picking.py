"""Picks of a scene folder: one object, several, by prompts, by words, from earlier picks."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from builders.progress import Recorder
from PIL import Image

from splatseg.errors import NothingFound, SplatsegError
from splatseg.evaluation import iou
from splatseg.masks import read_label_map
from splatseg.progress import Canceled
from splatseg.scene import load_scene, read_ply
from splatseg.segmentation import MaskPrompt, PointPrompt, PromptSet, load_selection, picker
from splatseg.tensor_files import read_tensors
from splatseg.workflows.grounding import GroundingOptions, TextPrompts
from splatseg.workflows.picking import PickOptions, pick, pick_objects
from splatseg.workflows.selections import SELECTION

MIN_IOU = 0.7  # of a ball in a view; most have 0.9
BALLS = {"red ball": 1, "green ball": 2}


def on(synthetic, *balls: int) -> PromptSet:
    """A click on each ball."""
    places = [synthetic.click(ball, "view_0") for ball in balls]
    return PromptSet([PointPrompt("view_0", x + 0.5, y + 0.5) for x, y in places])


def shown(folder: Path, view: str = "view_0") -> np.ndarray:
    return read_label_map(folder / "masks" / f"{view}.png") > 0


def test_an_object_is_written_and_each_training_view_rendered_once(
    scene_copy: Path, synthetic
) -> None:
    with patch.object(picker, "feature_map", wraps=picker.feature_map) as rendered:
        found = pick(scene_copy, on(synthetic, 1), options=PickOptions(name="red ball"))
    assert rendered.call_count == len(synthetic.truth)

    assert found.folder == scene_copy / "picks" / "red ball"
    names = {f"view_{i}" for i in range(10)}
    assert {path.stem for path in (found.folder / "masks").iterdir()} == names
    areas = {name: int(shown(found.folder, name).sum()) for name in names}
    assert found.pixels == areas
    for name, truth in synthetic.truth.items():
        assert iou(shown(found.folder, name), truth == 1) > MIN_IOU
    scene = load_scene(scene_copy)
    selected = load_selection(found.folder / SELECTION, scene).selected
    assert found.gaussians == int(selected.sum()) > 0 and found.level == "whole"
    members = read_ply(found.folder / "gaussians.ply")
    assert torch.equal(members.means, scene.gaussians.means[selected])
    with Image.open(found.folder / "overview.png") as overview:
        assert overview.width > 3 * 400


def test_earlier_picks_are_combined_grown_and_shrunk(scene_copy: Path, synthetic) -> None:
    truth = synthetic.truth["view_0"]
    one = pick(scene_copy, on(synthetic, 1), options=PickOptions(name="one"))
    pick(scene_copy, on(synthetic, 2), options=PickOptions(name="two"))

    both = pick(scene_copy, add=["one", "two"], grow_by=1, options=PickOptions(name="both"))
    assert iou(shown(both.folder), np.isin(truth, (1, 2))) > 0.5 and both.level is None
    less = pick(scene_copy, on(synthetic, 1, 2), subtract=["two"], grow_by=-1)
    assert 0 < less.gaussians < one.gaussians < both.gaussians
    nothing = pick(scene_copy, add=["one"], intersect=["two"])  # in the place of the one before
    assert nothing.folder == less.folder and nothing.gaussians < 0.1 * one.gaussians


def test_a_prompt_at_a_camera_is_a_prompt(scene_copy: Path, synthetic) -> None:
    """That of the frame, without the photo."""
    path = scene_copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"capture": "/moved/away"}))
    camera = load_scene(scene_copy).frame("view_0").camera
    prompts = PromptSet([MaskPrompt(camera, synthetic.truth["view_0"] == 2)])
    found = pick(scene_copy, prompts, options=PickOptions(output=scene_copy.parent / "elsewhere"))
    assert iou(shown(found.folder, "view_3"), synthetic.truth["view_3"] == 2) > MIN_IOU


def test_objects_of_a_file_share_label_maps(scene_copy: Path, synthetic, tmp_path: Path) -> None:
    path = tmp_path / "balls.json"
    at = {k: "view_0:{},{}".format(*synthetic.click(k, "view_0")) for k in (1, 2, 3)}
    path.write_text(json.dumps({f"ball {k}": {"at": [text]} for k, text in at.items()}))
    found = pick_objects(scene_copy, path)
    assert [row["name"] for row in found.objects] == ["ball 1", "ball 2", "ball 3"]
    assert json.loads((found.folder / "objects.json").read_text()) == found.objects
    assert found.to_json() == {"pick": str(found.folder), "objects": found.objects}
    for name, truth in synthetic.truth.items():
        labels = read_label_map(found.folder / "labels" / f"{name}.png")
        assert labels.dtype == np.uint8
        assert np.mean([iou(labels == k, truth == k) for k in (1, 2, 3)]) > MIN_IOU
    scene = load_scene(scene_copy)
    first = load_selection(found.folder / "selections" / "1.safetensors", scene)
    assert int(first.selected.sum()) == found.objects[0]["gaussians"]
    with pytest.raises(SplatsegError, match="nothing is picked"):
        pick_objects(scene_copy, {})


@pytest.mark.parametrize("stage", ["selecting", "masks"])
def test_canceled_it_writes_nothing(scene_copy: Path, synthetic, stage: str) -> None:
    with pytest.raises(Canceled):
        pick(scene_copy, on(synthetic, 1), progress=Recorder(cancel_in=stage))
    assert not (scene_copy / "picks" / "object").exists()


@pytest.fixture
def boxes(synthetic, tmp_path: Path) -> Callable[..., TextPrompts]:
    """Words with a file of boxes: by frame, prompts, the ball whose box is theirs, a score."""

    def box(frame: str, ball: int) -> list[int]:
        rows, columns = np.nonzero(synthetic.truth[frame] == ball)
        return [*map(int, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))]

    def write(content, *text: str, **changes) -> TextPrompts:
        listed = {
            frame: [{"prompt": p, "box": box(frame, ball), "score": s} for p, ball, s in entries]
            for frame, entries in content.items()
        }
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(listed))
        return TextPrompts(text, options=GroundingOptions(boxes=path), **changes)

    return write


def test_views_vote_on_what_words_mean(scene_copy: Path, synthetic, boxes) -> None:
    truth, options = synthetic.truth["view_0"], PickOptions(debug=True)
    wrong, right = ("red ball", 2, 0.9), ("red ball", 1, 0.5)
    content = {"view_0": [wrong], "view_3": [right], "view_4": [right]}
    found = pick(scene_copy, text=boxes(content, "Red  Ball"), options=options)
    assert iou(shown(found.folder), truth == 1) > MIN_IOU
    assert (found.folder / "debug" / "1.png").exists()
    _, metadata = read_tensors(found.folder / SELECTION)
    assert json.loads(metadata["made"])[0].startswith("'Red  Ball', found as box")
    one = boxes(content, "red ball", text_in=["view_0"], text_on="render")
    assert iou(shown(pick(scene_copy, text=one).folder), truth == 2) > MIN_IOU


def test_several_texts_are_several_objects(scene_copy: Path, synthetic, boxes) -> None:
    text = boxes({"view_0": [(name, ball, 0.9) for name, ball in BALLS.items()]}, *BALLS)
    found = pick_objects(scene_copy, text=text, options=PickOptions(debug=True))
    labels = read_label_map(found.folder / "labels" / "view_4.png")
    assert [row["name"] for row in found.objects] == list(BALLS)
    for row in found.objects:
        truth = synthetic.truth["view_4"] == BALLS[row["name"]]
        assert iou(labels == row["id"], truth) > MIN_IOU
    assert len(list((found.folder / "debug").iterdir())) == 2


def test_words_that_cannot_be_picked(scene_copy: Path, boxes) -> None:
    content = {"view_0": [("red ball", 1, 0.9)]}
    with pytest.raises(NothingFound, match="no box of 'lamp'; it has boxes of red ball"):
        pick(scene_copy, text=boxes(content, "lamp"))
    with pytest.raises(NothingFound, match=r"finds no 'lamp' in view_0; look in other views"):
        pick_objects(scene_copy, text=boxes(content, "red ball", "lamp"))
    with pytest.raises(SplatsegError, match="no frame view_99"):
        pick(scene_copy, text=boxes(content, "red ball", text_in=["view_99"]))
    both = GroundingOptions(detector="owl", boxes=scene_copy)
    with pytest.raises(SplatsegError, match="`boxes` are what a detector found"):
        pick(scene_copy, text=TextPrompts(["red ball"], options=both))
    assert not (scene_copy / "picks").exists()
