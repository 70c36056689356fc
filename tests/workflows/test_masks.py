"""Masks of every photo: made once, kept, drawn, described, and imported."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import two_squares as scene
from builders.progress import Recorder
from builders.two_squares import MATCHED, SIZE, best_iou, contents, square
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, read_segments, write_label_map, write_segments
from splatseg.masks.generation.config import GenerationConfig
from splatseg.progress import Canceled
from splatseg.workflows import masks as workflow
from splatseg.workflows.masks import (
    MasksResult,
    describe_masks,
    draw_masks,
    find_mask_set,
    import_masks,
    is_finished,
    list_mask_sets,
    make_masks,
)

QUICK = GenerationConfig(points_per_side=4, crops=0, boxes=False)

Make = Callable[..., MasksResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_sam: Any) -> Path:
    return tiny_sam.write_tiny_sam(tmp_path_factory.mktemp("models") / "tiny", side=128)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos that have no poses yet: a, b, and c in a folder of its own."""
    return scene.write_photos(tmp_path / "capture")


@pytest.fixture
def make(root: Path, model: Path) -> Make:
    def make(**arguments: Any) -> MasksResult:
        return make_masks(root, **({"model": str(model), "config": QUICK} | arguments))

    return make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A capture with the set `tiny`: take `copy`."""
    root = scene.write_photos(tmp_path_factory.mktemp("made") / "capture")
    make_masks(root, model=str(model), config=QUICK)
    return root


@pytest.fixture
def copy(made: Path, root: Path) -> Path:
    """`root` with the masks made."""
    shutil.copytree(made / "masks", root / "masks")
    return root


# Making


def test_each_square_in_each_photo_has_a_mask(root: Path, make: Make) -> None:
    progress = Recorder()
    result = make(progress=progress)
    folder = root / "masks" / "tiny"
    assert (result.masks, result.name, result.model) == (folder, "tiny", "tiny")
    assert sorted(contents(folder)) == ["a.json", "b.json", "more/c.json"]
    for view, frame in enumerate(scene.PHOTOS):
        segments = read_segments(folder / f"{frame}.json")
        assert (segments.height, segments.width) == SIZE
        assert all(best_iou(segments, square(name, view)) >= MATCHED for name in scene.COLORS)
    counts = sorted(len(read_segments(path)) for path in folder.rglob("*.json"))
    assert (result.photos, result.made, result.held_out) == (3, 3, 0)
    assert result.masks_per_photo == counts[1]
    assert result.seconds_per_photo and result.empty == result.unreadable == ()
    assert progress.updates == [("making masks", done, 3) for done in range(4)]
    assert progress.notes == ["masks of 3 photos by tiny"]


def test_files_are_sa1b_and_say_how_they_were_made(made: Path) -> None:
    data = json.loads((made / "masks" / "tiny" / "more" / "c.json").read_text())
    assert list(data) == ["image", "splatseg", "annotations"]
    assert data["image"] == {"file_name": "more/c.jpg", "width": SIZE[1], "height": SIZE[0]}
    assert data["splatseg"] == {
        **{"model": "tiny", "grid": 4, "crops": 0, "crop_grid": 8, "boxes": False},
        **{"adaptive": True, "min_predicted_iou": 0.6, "min_stability": 0.75, "max_iou": 0.8},
    }
    assert data["annotations"][0]["predicted_iou"] > 0.6


def test_photos_with_poses_are_turned_and_held_out_ones_left_out(root: Path, make: Make) -> None:
    scene.add_poses(root)
    turned = Image.fromarray(np.rot90(scene.photo(0), -1))
    exif = turned.getexif()
    exif[0x0112] = 8  # to be turned back by a quarter
    turned.save(root / "images" / "a.png", exif=exif)
    result = make()
    assert (result.photos, result.held_out) == (2, 1)
    assert sorted(contents(result.masks)) == ["a.json", "more/c.json"] and is_finished(root, "tiny")
    segments = read_segments(result.masks / "a.json")
    assert (segments.height, segments.width) == SIZE
    assert best_iou(segments, square("red", 0)) >= MATCHED
    statistics = describe_masks(root)
    assert [row.frame for row in statistics.photos] == ["a", "more/c"] and not statistics.flags
    result = make(with_held_out=True)
    assert (result.photos, result.made, result.held_out) == (3, 1, 0)


def test_models_give_folders_names() -> None:
    models = ("facebook/sam-vit-base", "my sam: v2", ".hidden", "***")
    names = ["sam-vit-base", "my-sam-v2", "hidden", "sam"]
    assert [workflow._file_safe(model) for model in models] == names


# Going on


def test_photos_at_once_have_the_masks_that_they_have_alone(copy: Path, make: Make) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        at_once = make(name="at-once")
    finally:
        torch.set_num_threads(before)
    assert at_once.made == 3
    for file in sorted((copy / "masks" / "tiny").rglob("*.json")):
        other = at_once.masks / file.relative_to(copy / "masks" / "tiny")
        assert read_segments(file).rles == read_segments(other).rles


def test_what_is_there_is_not_made_again(copy: Path, make: Make) -> None:
    before, progress = contents(copy / "masks"), Recorder()
    again = make(progress=progress)
    assert contents(copy / "masks") == before
    assert (again.photos, again.made, again.seconds_per_photo) == (3, 0, None)
    assert progress.notes == ["masks of 3 photos by tiny; 3 have theirs"]
    assert is_finished(copy, "tiny")
    (copy / "masks" / "tiny" / "b.json").unlink()
    assert not is_finished(copy, "tiny")
    assert make(config=None).made == 1 and contents(copy / "masks") == before


def test_broken_files_are_made_again(copy: Path, make: Make) -> None:
    before, folder = contents(copy / "masks"), copy / "masks" / "tiny"
    data = json.loads((folder / "a.json").read_text())
    (folder / "a.json").write_text(json.dumps(data | {"annotations": None}))
    data["annotations"][0]["segmentation"]["counts"] = "1234"
    (folder / "b.json").write_text(json.dumps(data))
    (folder / "more" / "c.json").write_bytes(before["tiny/more/c.json"][:500])
    assert not is_finished(copy, "tiny")
    assert make().made == 3 and contents(copy / "masks") == before


def test_canceling_keeps_what_is_done(root: Path, make: Make) -> None:
    progress = Recorder(cancel_in="making masks", cancel_at=1)
    with pytest.raises(Canceled):
        make(progress=progress)
    folder = root / "masks" / "tiny"
    assert progress.notes == [
        "masks of 3 photos by tiny",
        "stopping, once the photos in work are done with",
        f"stopped; 1 of 3 photos have their masks in {folder}",
    ]
    assert list(contents(folder)) == ["a.json"]
    assert make().made == 2


def test_one_set_holds_the_masks_of_one_model_and_its_settings(
    copy: Path, model: Path, make: Make, tmp_path: Path
) -> None:
    before = contents(copy / "masks")
    slow = replace(QUICK, adaptive=False)
    with pytest.raises(SplatsegError, match=r"other settings \(adaptive was True, now False\); pa"):
        make(config=slow)
    other = shutil.copytree(model, tmp_path / "other")
    with pytest.raises(SplatsegError, match=r"\(model was tiny, now other\)"):
        make(model=str(other), name="tiny")
    assert contents(copy / "masks") == before
    assert make(config=slow, name="slow").masks == copy / "masks" / "slow"
    assert make(config=slow, restart=True).made == 3
    written = json.loads((copy / "masks" / "tiny" / "a.json").read_text())["splatseg"]
    assert written["adaptive"] is False


@pytest.mark.parametrize("name", ["a.json", "a.png"])
def test_masks_of_others_are_not_touched(root: Path, make: Make, name: str) -> None:
    path = root / "masks" / "tiny" / name
    labels = square("red", 0).astype(np.uint8)
    if name == "a.json":
        write_segments(path, Segments.from_label_map(labels), "a.png")
    else:
        write_label_map(path, labels)
    before = contents(root / "masks")
    with pytest.raises(SplatsegError, match=f"holds {name}, which splatseg did not make; give"):
        make(restart=True)
    assert contents(root / "masks") == before and is_finished(root, "tiny")


# Photos that give nothing


@pytest.mark.parametrize(("length", "unreadable"), [(120, ("a",)), (8, ())])
def test_photos_that_cannot_be_read_are_left_out(
    root: Path, make: Make, length: int, unreadable: tuple[str, ...]
) -> None:
    """With 120 bytes a photo has a size, so that it is known to be missing."""
    progress = Recorder()

    def damage(name: str) -> None:
        path = root / "images" / name
        path.write_bytes(path.read_bytes()[:length])

    damage("a.png")
    result = make(progress=progress)
    assert any(n.startswith("left out: ") and "a.png cannot be read" in n for n in progress.notes)
    assert result.unreadable == unreadable
    assert sorted(contents(result.masks)) == ["b.json", "more/c.json"]
    damage("b.png")
    shutil.rmtree(root / "images" / "more")
    with pytest.raises(SplatsegError, match=r"no photo .*can be read: .*a\.png cannot be read"):
        make(name="none")


def test_a_photo_without_masks_has_an_empty_file(root: Path, make: Make) -> None:
    confetti = np.random.default_rng(0).integers(0, 2, (24, 32, 3)).repeat(4, 0).repeat(4, 1)
    Image.fromarray((255 * confetti).astype(np.uint8)).save(root / "images" / "b.png")
    result = make()
    assert result.empty == ("b",) and result.photos == 3
    assert len(read_segments(result.masks / "b.json")) == 0


def test_captures_that_are_refused(tmp_path: Path, root: Path, make: Make) -> None:
    (tmp_path / "empty" / "images").mkdir(parents=True)
    shutil.copy(root / "images" / "a.png", root / "images" / "a.jpg")
    for place, sentence in (
        (root / "images", "images has no folder images; expected a capture"),
        (tmp_path / "nowhere", "nowhere has no folder images"),
        (tmp_path / "empty", "no photo that can be read; put the photos there"),
        (root, "would both have the masks of the frame a; remove or rename one"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            make_masks(place)


def test_arguments_that_are_refused(
    root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name in ("a/b", "..", ".hidden", ""):
        for call in (make, lambda name: import_masks(root, root, name=name)):
            with pytest.raises(SplatsegError, match=r"`name` is .*; expected a folder's name"):
                call(name=name)
    with pytest.raises(SplatsegError, match="torch finds no GPU; `device` cuda needs"):
        make(device="cuda")
    assert not (root / "masks").exists()


# Looking


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def test_previews_show_the_masks(copy: Path) -> None:
    large = Image.fromarray(scene.photo(1)).resize((2400, 1800), Image.Resampling.NEAREST)
    large.save(copy / "images" / "b.png")
    progress = Recorder()
    folder = draw_masks(copy, progress=progress)
    assert folder == copy / "mask_previews" / "tiny"
    assert sorted(contents(folder)) == ["a.jpg", "b.jpg", "more/c.jpg"]
    assert progress.updates == [("drawing masks", done, 3) for done in (1, 2, 3)]
    difference = np.abs(drawn(folder / "a.jpg") - scene.photo(0)).sum(axis=-1)
    assert difference.shape == SIZE and difference[square("red", 0)].mean() > 30
    assert drawn(folder / "b.jpg").shape == (1200, 1600, 3)
    assert list_mask_sets(copy) == ["tiny"]  # previews are no set


def test_broken_and_missing_files_stop_neither_pictures_nor_figures(copy: Path) -> None:
    folder, progress = copy / "masks" / "tiny", Recorder()
    assert describe_masks(copy).flags == ()
    (folder / "a.json").write_text("{")
    (folder / "b.json").unlink()
    assert list(contents(draw_masks(copy, progress=progress))) == ["more/c.jpg"]
    (note,) = progress.notes
    assert note.startswith("not drawn: ") and "a.json is not valid JSON" in note
    found = describe_masks(copy)
    assert found.to_json()["total_masks"] == len(read_segments(folder / "more" / "c.json"))
    problems = [(flag.frame, flag.problem) for flag in found.flags]
    assert problems == [("a", "refused"), ("b", "no file")]


def test_which_set_is_meant(copy: Path) -> None:
    masks = copy / "masks"
    (masks / ".hidden").mkdir()
    assert find_mask_set(copy, None) == masks / "tiny"
    shutil.copytree(masks / "tiny", masks / "other")
    assert find_mask_set(copy, "other") == masks / "other"
    for name, sentence in (
        (None, r"holds 2 mask sets \(other, tiny\); choose one with `name`"),
        ("three", "has no mask set three; it has other, tiny"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            describe_masks(copy, name=name)
    shutil.rmtree(masks)
    with pytest.raises(SplatsegError, match="holds no mask set yet; make one with splatseg masks"):
        draw_masks(copy)


# Importing


@pytest.fixture
def label_maps(tmp_path: Path) -> Path:
    """Label maps of photos a and b, as another tool leaves them."""
    for view, name in enumerate("ab"):
        labels = square("red", view) + 2 * square("green", view).astype(np.uint8)
        write_label_map(tmp_path / "theirs" / f"{name}.png", labels.astype(np.uint8))
    return tmp_path / "theirs"


def test_masks_of_another_tool_become_a_set(root: Path, label_maps: Path) -> None:
    progress = Recorder()
    result = import_masks(root, label_maps, progress=progress)
    folder = root / "masks" / "label-map"
    assert (result.masks, result.model, result.format) == (folder, None, "label-map")
    assert (result.photos, result.made, result.masks_per_photo) == (2, 2, 2)
    assert result.seconds_per_photo is None
    assert sorted(contents(folder)) == ["a.json", "b.json"]
    np.testing.assert_array_equal(read_segments(folder / "b.json").mask(0), square("red", 1))
    assert progress.updates == [("importing masks", done, 2) for done in (1, 2)]
    note = f"masks of 2 photos from {label_maps}, of the format label-map; 1 have none there"
    assert progress.notes == [note]
    assert import_masks(root, label_maps, format="label-map", name="theirs").name == "theirs"


def test_imports_that_leave_all_as_it_was(root: Path, label_maps: Path) -> None:
    there = shutil.copytree(label_maps, root / "masks" / "label-map")
    before = contents(root / "masks")
    with pytest.raises(SplatsegError, match="is there already; name another set with `name`, or"):
        import_masks(root, there)
    path = label_maps / "b.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SplatsegError, match=r"b\.png cannot be read as PNG"):
        import_masks(root, label_maps, name="theirs")
    assert contents(root / "masks") == before
