"""`splatseg masks`: masks of every photo, made once, kept, drawn, counted, and imported."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatseg.capture import load_capture
from splatseg.cli import main
from splatseg.cli import masks as verb
from splatseg.masks import (
    Segments,
    open_masks,
    read_segments,
    write_label_map,
    write_segments,
)

pytest.importorskip("onnx", reason="the tiny SAM is written with onnx")

SIZE = (96, 128)  # rows, columns
COLORS = {"red": (200, 40, 40), "green": (40, 200, 60)}
QUICK = ("--grid", "4", "--crops", "0", "--no-boxes", "--threads", "1")
MATCHED = 0.9

Run = Callable[..., tuple[int, str, str]]


def thing(name: str, view: int) -> np.ndarray:
    """Where a thing is in a view: a little further right in the next."""
    place = np.zeros(SIZE, dtype=bool)
    top, left = {"red": (8, 8), "green": (48, 40)}[name]
    place[top : top + 40, left + 8 * view : left + 8 * view + 48] = True
    return place


def photo(view: int) -> np.ndarray:
    pixels = np.full((*SIZE, 3), 60, dtype=np.uint8)
    for name, color in COLORS.items():
        pixels[thing(name, view)] = color
    return pixels


def best_iou(segments: Segments, place: np.ndarray) -> float:
    return max((mask & place).sum() / (mask | place).sum() for mask in segments.masks())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from builders import tiny_sam

    return tiny_sam.write_tiny_sam(tmp_path_factory.mktemp("models") / "tiny", side=128)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos that have no poses yet: a, b, and c in a folder of its own."""
    (tmp_path / "capture" / "images" / "more").mkdir(parents=True)
    for view, name in enumerate(("a.png", "b.png", "more/c.jpg")):
        Image.fromarray(photo(view)).save(tmp_path / "capture" / "images" / name, quality=100)
    return tmp_path / "capture"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the verb: its exit status, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["masks", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


@pytest.fixture
def make(run: Run, root: Path, model: Path) -> Callable[..., dict[str, Any]]:
    """Make the masks of `root`: what --json prints."""

    def make(*arguments: object) -> dict[str, Any]:
        status, out, err = run(root, "--model", model, *QUICK, *arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return make


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Run what must fail: its one sentence."""

    def refused(*arguments: object) -> str:
        status, out, err = run(*arguments, "--json")
        assert (status, out) == (2, "")
        (line,) = [line for line in err.splitlines() if line.startswith("splatseg: ")]
        return line

    return refused


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the photos that masks were generated for."""
    shapes: list[tuple[int, ...]] = []
    real = verb.generate_masks

    def generate(segmenter: Any, pixels: np.ndarray, config: Any) -> Segments:
        shapes.append(pixels.shape)
        return real(segmenter, pixels, config)

    monkeypatch.setattr(verb, "generate_masks", generate)
    return shapes


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def add_poses(root: Path, test: tuple[str, ...] = ("b",)) -> None:
    """transforms.json and a split for the photos of `root`."""
    pose = np.eye(4).tolist()
    names = {"a": "a.png", "b": "b.png", "more/c": "more/c.jpg"}
    frames = [{"file_path": f"images/{n}", "transform_matrix": pose} for n in names.values()]
    lens = {"w": SIZE[1], "h": SIZE[0], "fl_x": 100, "fl_y": 100}
    (root / "transforms.json").write_text(json.dumps(lens | {"frames": frames}))
    split = {"train": [name for name in names if name not in test], "test": list(test)}
    (root / "split.json").write_text(json.dumps(split))


# Making


def test_each_thing_in_each_photo_has_a_mask(root: Path, make: Any) -> None:
    result = make()
    folder = root / "masks" / "tiny"
    assert result["masks"] == str(folder) and result["model"] == "tiny"
    assert sorted(contents(folder)) == ["a.json", "b.json", "more/c.json"]
    for view, frame in enumerate(("a", "b", "more/c")):
        segments = read_segments(folder / f"{frame}.json")
        assert (segments.height, segments.width) == SIZE
        for name in COLORS:
            assert best_iou(segments, thing(name, view)) >= MATCHED
    counts = sorted(len(read_segments(path)) for path in folder.rglob("*.json"))
    assert result["masks_per_photo"] == counts[1]
    assert (result["photos"], result["made"]) == (3, 3)
    assert result["seconds_per_photo"] > 0
    assert result["empty"] == result["unreadable"] == []


def test_files_are_sa1b_and_say_how_they_were_made(root: Path, make: Any) -> None:
    make()
    data = json.loads((root / "masks" / "tiny" / "more" / "c.json").read_text())
    assert list(data) == ["image", "splatseg", "annotations"]
    assert data["image"] == {"file_name": "more/c.jpg", "width": SIZE[1], "height": SIZE[0]}
    assert data["splatseg"]["model"] == "tiny"
    assert (data["splatseg"]["grid"], data["splatseg"]["boxes"]) == (4, False)
    assert data["annotations"][0]["predicted_iou"] > 0.6


def test_people_read_what_came_of_it(root: Path, model: Path, run: Run) -> None:
    status, out, _ = run(root, "--model", model, *QUICK)
    assert status == 0
    assert "masks of 3 photos by tiny\n" in out
    assert f"wrote {root / 'masks' / 'tiny'}  (3 photos, " in out
    assert " s a photo)" in out and f"next: splatseg capture {root}" in out


def test_held_out_photos_are_left_out_unless_asked_for(
    root: Path, model: Path, run: Run, make: Any
) -> None:
    add_poses(root)
    status, out, _ = run(root, "--model", model, *QUICK)
    assert status == 0
    assert "masks of 2 photos by tiny; 1 held out get none without --all" in out
    assert f"next: splatseg train {root} --masks tiny" in out
    assert not (root / "masks" / "tiny" / "b.json").exists()
    result = make("--all")
    assert (result["photos"], result["made"]) == (3, 1)
    frames = [frame.name for frame in load_capture(root).frames]
    assert set(open_masks(root, "tiny", frames).files) == {"a", "b", "more/c"}


def test_a_photo_is_turned_as_its_camera_is(root: Path, make: Any) -> None:
    add_poses(root, test=())
    turned = Image.fromarray(np.rot90(photo(0), -1))
    exif = turned.getexif()
    exif[0x0112] = 8  # to be turned back by a quarter
    turned.save(root / "images" / "a.png", exif=exif)
    make()
    segments = read_segments(root / "masks" / "tiny" / "a.json")
    assert (segments.height, segments.width) == SIZE
    assert best_iou(segments, thing("red", 0)) >= MATCHED


@pytest.mark.parametrize("kind", ["L", "CMYK", "P", "I;16"])
def test_photos_of_every_kind(root: Path, make: Any, kind: str) -> None:
    if kind == "I;16":
        image = Image.fromarray(photo(0)[..., 0].astype(np.uint16) * 256)
    else:
        image = Image.fromarray(photo(0)).convert(kind)
    (root / "images" / "a.png").unlink()
    image.save(root / "images" / "a.tif")
    make()
    segments = read_segments(root / "masks" / "tiny" / "a.json")
    assert best_iou(segments, thing("red", 0)) >= MATCHED


def test_a_name_for_the_set(root: Path, make: Any) -> None:
    assert make("--name", "mine")["masks"] == str(root / "masks" / "mine")
    assert not (root / "masks" / "tiny").exists()


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("facebook/sam-vit-base", "sam-vit-base"),
        ("my sam: v2", "my-sam-v2"),
        (".hidden", "hidden"),
        ("***", "sam"),
    ],
)
def test_models_give_folders_names(model_name: str, name: str) -> None:
    assert verb._file_safe(model_name) == name


# Going on


def test_photos_at_once_have_the_masks_that_they_have_alone(root: Path, make: Any) -> None:
    alone = make("--name", "alone")
    at_once = make("--name", "at-once", "--threads", "2")
    assert at_once["made"] == alone["made"] == 3
    for file in sorted(Path(alone["masks"]).rglob("*.json")):
        one = read_segments(file)
        other = read_segments(Path(at_once["masks"]) / file.relative_to(alone["masks"]))
        assert one.rles == other.rles


def test_what_is_there_is_not_made_again(
    root: Path, model: Path, make: Any, run: Run, asked: list[Any]
) -> None:
    first = make()
    before = contents(root / "masks")
    again = make()
    assert len(asked) == 3 and contents(root / "masks") == before
    assert (again["photos"], again["made"], again["seconds_per_photo"]) == (3, 0, None)
    assert again["masks_per_photo"] == first["masks_per_photo"]
    _, out, _ = run(root, "--model", model, *QUICK)
    assert "masks of 3 photos by tiny; 3 have theirs" in out
    assert "wrote" not in out and "tiny has them all  (3 photos, " in out
    (root / "masks" / "tiny" / "b.json").unlink()
    assert make()["made"] == 1 and contents(root / "masks") == before


@pytest.mark.parametrize("damage", ["cut", "emptied", "annotations", "runs"])
def test_a_broken_file_is_made_again(root: Path, make: Any, asked: list[Any], damage: str) -> None:
    make()
    before = contents(root / "masks")
    path = root / "masks" / "tiny" / "a.json"
    data = json.loads(path.read_text())
    if damage == "annotations":
        path.write_text(json.dumps(data | {"annotations": None}))
    elif damage == "runs":
        data["annotations"][0]["segmentation"]["counts"] = "1234"
        path.write_text(json.dumps(data))
    else:
        path.write_bytes(path.read_bytes()[: 500 if damage == "cut" else 0])
    assert make()["made"] == 1
    assert len(asked) == 4 and contents(root / "masks") == before


def test_ctrl_c_keeps_what_is_done(
    root: Path, model: Path, run: Run, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verb.read_photo

    def interrupt(path: Path, like: Any) -> Any:
        if path.name == "b.png":
            raise KeyboardInterrupt
        return real(path, like)

    with monkeypatch.context() as patch:
        patch.setattr(verb, "read_photo", interrupt)
        status, out, _ = run(root, "--model", model, *QUICK)
    folder = root / "masks" / "tiny"
    assert status == 130
    assert f"stopped; 1 of 3 photos have their masks in {folder}: run the same" in out
    assert list(contents(folder)) == ["a.json"]
    assert make()["made"] == 2


def test_one_set_holds_the_masks_of_one_model_and_its_settings(
    root: Path, model: Path, refused: Any, make: Any, tmp_path: Path
) -> None:
    make()
    before = contents(root / "masks")
    sentence = refused(root, "--model", model, *QUICK, "--no-adaptive")
    assert "masks/tiny holds masks made with other settings" in sentence
    assert "(adaptive was True, now False); pass the same settings, --restart to" in sentence
    other = Path(shutil.copytree(model, tmp_path / "other"))
    sentence = refused(root, "--model", other, "--name", "tiny", *QUICK)
    assert "(model was tiny, now other)" in sentence
    assert contents(root / "masks") == before
    assert make("--no-adaptive", "--name", "slow")["made"] == 3
    assert make("--no-adaptive", "--restart")["made"] == 3
    made = json.loads((root / "masks" / "tiny" / "a.json").read_text())["splatseg"]
    assert made["adaptive"] is False


@pytest.mark.parametrize("suffix", [".json", ".png"])
@pytest.mark.parametrize("flags", [(), ("--restart",)])
def test_masks_of_others_are_not_touched(
    root: Path, model: Path, refused: Any, suffix: str, flags: tuple[str, ...]
) -> None:
    path = root / "masks" / "tiny" / f"a{suffix}"
    labels = thing("red", 0).astype(np.uint8)
    if suffix == ".json":
        write_segments(path, Segments.from_label_map(labels), "a.png")
    else:
        write_label_map(path, labels)
    before = contents(root / "masks")
    sentence = refused(root, "--model", model, *QUICK, *flags)
    assert f"holds a{suffix}, which splatseg did not make; give the new masks" in sentence
    assert contents(root / "masks") == before


# Photos that give nothing


def test_a_photo_that_cannot_be_read_is_left_out(root: Path, model: Path, run: Run) -> None:
    path = root / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:120])
    status, out, _ = run(root, "--model", model, *QUICK)
    assert status == 0
    assert "left out: " in out and "a.png cannot be read as a photo" in out
    assert "photos that cannot be read, and so have no file: 1" in out
    assert sorted(contents(root / "masks" / "tiny")) == ["b.json", "more/c.json"]


def test_a_file_that_is_no_photo_is_left_out(root: Path, make: Any) -> None:
    (root / "images" / "a.png").write_text("no photo")
    assert make()["photos"] == 2


def test_if_no_photo_can_be_read_that_is_an_error(root: Path, model: Path, refused: Any) -> None:
    for path in (root / "images").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:120])
    sentence = refused(root, "--model", model, *QUICK)
    assert f"no photo of {root} can be read: " in sentence and "a.png cannot be read" in sentence
    for path in (root / "images").rglob("*.*"):
        path.write_text("no photo")
    assert "images has no photo that can be read: " in refused(root, "--model", model)


def test_a_photo_without_masks_has_an_empty_file(root: Path, model: Path, run: Run) -> None:
    confetti = np.random.default_rng(0).integers(0, 2, (24, 32, 3)).repeat(4, 0).repeat(4, 1)
    Image.fromarray((255 * confetti).astype(np.uint8)).save(root / "images" / "b.png")
    status, out, _ = run(root, "--model", model, *QUICK)
    assert status == 0 and "photos without any mask: 1 (the first is b)" in out
    assert len(read_segments(root / "masks" / "tiny" / "b.json")) == 0
    assert len(read_segments(root / "masks" / "tiny" / "a.json")) > 0


def test_folders_without_photos(tmp_path: Path, root: Path, model: Path, refused: Any) -> None:
    (tmp_path / "empty" / "images").mkdir(parents=True)
    for place in (root / "images", tmp_path / "nowhere"):
        assert f"{place} has no folder images; expected a capture" in refused(place)
    assert "images has no photo that can be read; put the photos there" in refused(
        tmp_path / "empty", "--model", model
    )
    shutil.copy(root / "images" / "a.png", root / "images" / "a.jpg")
    assert "would both have the masks of the frame a; remove or rename one" in refused(root)


# Looking


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(verb, "load_segmenter", load)


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def test_previews_show_the_masks(root: Path, make: Any) -> None:
    result = make("--preview")
    folder = root / "mask_previews" / "tiny"
    assert result["preview"] == str(folder)
    assert sorted(contents(folder)) == ["a.jpg", "b.jpg", "more/c.jpg"]
    difference = np.abs(drawn(folder / "a.jpg") - photo(0)).sum(axis=-1)
    assert difference.shape == SIZE
    assert difference[thing("red", 0)].mean() > 30
    assert open_masks(root, None, ["a", "b", "more/c"]).name == "tiny"  # previews are no set


def test_previews_of_large_photos_are_smaller(root: Path, make: Any) -> None:
    large = Image.fromarray(photo(0)).resize((2400, 1800), Image.Resampling.NEAREST)
    large.save(root / "images" / "a.png")
    make("--preview")
    assert drawn(root / "mask_previews" / "tiny" / "a.jpg").shape == (1200, 1600, 3)
    assert read_segments(root / "masks" / "tiny" / "a.json").width == 1024


def test_what_is_there_is_drawn_and_counted_without_a_model(
    root: Path, make: Any, run: Run, request: pytest.FixtureRequest
) -> None:
    make()
    (root / "masks" / "tiny" / "b.json").unlink()
    before = contents(root / "masks")
    request.getfixturevalue("no_model")
    status, out, _ = run(root, "--preview", "--stats")
    assert status == 0 and contents(root / "masks") == before
    assert sorted(contents(root / "mask_previews" / "tiny")) == ["a.jpg", "more/c.jpg"]
    assert "coverage" in out and "all 2" in out
    assert f"b has no mask file in {root / 'masks' / 'tiny'}" in out


def test_statistics_of_a_set_that_was_just_made(root: Path, make: Any) -> None:
    statistics = make("--stats")["statistics"]
    assert [row["frame"] for row in statistics["photos"]] == ["a", "b", "more/c"]
    assert statistics["coverage"] > 0.9 and statistics["flags"] == []
    counts = [len(read_segments(path)) for path in (root / "masks" / "tiny").rglob("*.json")]
    assert statistics["total_masks"] == sum(counts)


def test_held_out_photos_are_not_missed(root: Path, make: Any) -> None:
    add_poses(root)
    statistics = make("--stats")["statistics"]
    assert [row["frame"] for row in statistics["photos"]] == ["a", "more/c"]
    assert statistics["flags"] == []


def test_many_flags_are_shortened(root: Path, make: Any, run: Run) -> None:
    make()
    for number in range(30):
        shutil.copy(root / "images" / "a.png", root / "images" / f"new{number:02d}.png")
    status, out, _ = run(root, "--stats")
    assert status == 0
    assert out.count("has no mask file in") == verb.MAX_FLAGS
    assert f"… and {30 - verb.MAX_FLAGS} more; --json names them all" in out


def test_a_broken_file_stops_neither_pictures_nor_figures(root: Path, make: Any, run: Run) -> None:
    make()
    (root / "masks" / "tiny" / "a.json").write_text("{")
    status, out, _ = run(root, "--preview", "--stats")
    assert status == 0
    assert "not drawn: " in out and "a.json is not valid JSON" in out and "all 2" in out
    assert sorted(contents(root / "mask_previews" / "tiny")) == ["b.jpg", "more/c.jpg"]


def test_which_set_is_looked_at(root: Path, make: Any, refused: Any, run: Run) -> None:
    masks = root / "masks"
    sentence = refused(root, "--stats")
    assert f"{masks} holds no mask set yet; make one with splatseg masks {root}" in sentence
    make("--name", "one")
    make("--name", "two")
    sentence = refused(root, "--stats")
    assert f"{masks} holds 2 mask sets (one, two); choose one with --name" in sentence
    assert "has no mask set three; it has one, two" in refused(root, "--stats", "--name", "three")
    assert run(root, "--preview", "--name", "two")[0] == 0
    assert (root / "mask_previews" / "two" / "a.jpg").is_file()


def test_a_preview_of_nothing_makes_masks_first(
    root: Path, model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cached = tmp_path / "cache" / "tiny"
    monkeypatch.setattr("splatseg.models.segmenters.cache_folder", lambda: cached.parent)
    shutil.copytree(model, cached)
    for name in ("b.png", "more/c.jpg"):
        (root / "images" / name).unlink()
    status, _, _ = run(root, "--preview", "--threads", "1")
    assert status == 0
    assert list(contents(root / "mask_previews" / "tiny")) == ["a.jpg"]


# Importing


@pytest.fixture
def label_maps(tmp_path: Path) -> Path:
    """Label maps of photos a and b, as another tool leaves them."""
    for view, name in enumerate("ab"):
        labels = thing("red", view) + 2 * thing("green", view).astype(np.uint8)
        write_label_map(tmp_path / "theirs" / f"{name}.png", labels.astype(np.uint8))
    return tmp_path / "theirs"


def test_masks_of_another_tool_become_a_set(root: Path, label_maps: Path, run: Run) -> None:
    status, out, _ = run(root, "--import", label_maps, "--preview", "--stats", "--json")
    assert status == 0
    result = json.loads(out)
    folder = root / "masks" / "label-map"
    assert (result["masks"], result["format"]) == (str(folder), "label-map")
    assert (result["photos"], result["made"], result["masks_per_photo"]) == (2, 2, 2)
    assert result["seconds_per_photo"] is None
    assert sorted(contents(folder)) == ["a.json", "b.json"]
    np.testing.assert_array_equal(read_segments(folder / "b.json").mask(0), thing("red", 1))
    assert (root / "mask_previews" / "label-map" / "b.jpg").is_file()
    assert result["statistics"]["total_masks"] == 4
    assert [flag["frame"] for flag in result["statistics"]["flags"]] == ["more/c"]


def test_an_import_has_a_name_and_a_format(root: Path, label_maps: Path, run: Run) -> None:
    arguments = ("--import", label_maps, "--format", "label-map", "--name", "theirs")
    status, out, _ = run(root, *arguments)
    assert status == 0
    assert f"masks of 2 photos from {label_maps}, of the format label-map; 1 have none" in out
    assert sorted(contents(root / "masks" / "theirs")) == ["a.json", "b.json"]


def test_an_import_takes_no_set_s_place(root: Path, label_maps: Path, refused: Any) -> None:
    shutil.copytree(label_maps, root / "masks" / "label-map")
    before = contents(root / "masks")
    sentence = refused(root, "--import", root / "masks" / "label-map")
    assert "label-map is there already; name another set with --name, or remove it" in sentence
    assert contents(root / "masks") == before


def test_a_failed_import_leaves_nothing(root: Path, label_maps: Path, refused: Any) -> None:
    path = label_maps / "b.png"
    path.write_bytes(path.read_bytes()[:60])
    assert "b.png cannot be read as PNG" in refused(root, "--import", label_maps)
    assert contents(root / "masks") == {}


# Flags


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--format", "sam"), "--format sam says what --import reads, but nothing is imported"),
        (("--import", "x", "--model", "y"), "leave out one or the other"),
        (("--import", "x", "--no-adaptive"), "leave out one or the other"),
        (("--import", "x", "--restart"), "leave out one or the other"),
        (("--import", "nowhere"), "nowhere does not exist"),
        (("--import", ".", "--format", "rle"), "there is no mask format rle; there are label-map"),
        (("--name", "a/b"), "--name is 'a/b'; expected a folder's name, as in sam-vit-base"),
        (("--name", ".."), "--name is '..'"),
        (("--name", ".hidden"), "--name is '.hidden'"),
        (("--name", ""), "--name is ''"),
        (("--model", "nowhere"), "the model nowhere does not exist; expected a folder with"),
        (("--threads", "0"), "--threads is 0; expected at least 1"),
        (("--grid", "0"), "the grid is 0"),
    ],
)
def test_flags_that_make_no_sense(
    root: Path, refused: Any, flags: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(root, *flags)
    assert not (root / "masks").exists()


def test_a_gpu_that_is_not_there(root: Path, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "torch finds no GPU; --device cuda needs" in refused(root, "--device", "cuda")
