"""Every verb on the synthetic scene: exit status, files, and one JSON object with `--json`."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.progress import At
from PIL import Image

from splatseg.cli import main
from splatseg.cli.evaluate import SHEET_CELL, worst_montage
from splatseg.cli.prompts import parse_click
from splatseg.errors import SplatsegError
from splatseg.evaluation import Case, Query, iou
from splatseg.masks import read_label_map
from splatseg.scene import load_scene, read_ply, save_labels
from splatseg.segmentation import PointPrompt, load_selection
from splatseg.segmentation.connected_components import FLOATER
from splatseg.viz.pictures import HIGHLIGHT

MIN_PICK_IOU = 0.7  # of the red ball in the view that is clicked; seeds 0 to 2 have 0.99

Json = Callable[..., dict[str, Any]]

PROTOCOLS = ("nvs", "click", "click3", "random-click", "click3d", "clusters", "objects")


@pytest.fixture
def run_json(capsys: pytest.CaptureFixture[str]) -> Json:
    """Run a command with --json: the one object that stdout holds."""

    def run(*arguments: object) -> dict[str, Any]:
        assert main([*map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_train_writes_a_scene_beside_the_photos(capture_copy: Path, capsys) -> None:
    assert (
        main(["train", str(capture_copy), "--iterations", "4", "--contrastive.interval", "2"]) == 0
    )
    shown = capsys.readouterr().out
    assert "8 training photos at 96x72, 2 held out" in shown and "masks noisy" in shown
    scene = capture_copy / "splatseg"
    assert f"next: splatseg cluster {scene}" in shown
    assert {"scene.ply", "features.safetensors", "manifest.json"} <= set(os.listdir(scene))
    assert load_scene(scene).config["contrastive"]["interval"] == 2


def test_train_json(capture_copy: Path, tmp_path: Path, run_json: Json) -> None:
    command = ("train", capture_copy, "-o", tmp_path / "out", "--preset", "rgb", "--iterations", 5)
    result = run_json(*command)
    assert list(result) == ["scene", "seconds", "gaussians"]
    assert result["scene"] == str(tmp_path / "out")
    assert result["gaussians"] == len(load_scene(tmp_path / "out").gaussians)
    assert not (capture_copy / "splatseg").exists()
    assert run_json(*command) == result


def test_train_says_what_it_found_and_how_to_go_on(
    capture_copy: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", str(capture_copy), "--preset=rgb", "--iterations", "3"]
    stopped = At(stage="training", done=2)
    with monkeypatch.context() as patch:
        patch.setattr("splatseg.cli.output.ProgressBar.update", lambda _, *at: stopped.update(*at))
        assert main(command) == 130
    assert "progress is saved in" in capsys.readouterr().out
    assert main([*command, "--seed", "5"]) == 2
    assert "unfinished run with other settings (seed was 0, now 5)" in capsys.readouterr().err
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "masks" not in shown and "splatseg cluster" not in shown
    assert main(command) == 0
    assert "is already trained with these settings; --restart" in capsys.readouterr().out


def test_a_poses_file_takes_the_place_of_the_captures_own(capture_copy: Path, run_json) -> None:
    (capture_copy / "transforms.json").rename(capture_copy / "mine.json")
    poses = capture_copy / "mine.json"
    run_json("train", capture_copy, "--poses", poses, "--preset", "rgb", "--iterations", 2)


@pytest.fixture
def red_click(synthetic) -> tuple[str, np.ndarray]:
    """--at for the middle of the red ball, and its true mask there."""
    x, y = synthetic.click(1, "view_0")
    return f"view_0:{x},{y}", synthetic.truth["view_0"] == 1


def test_pick_writes_masks_gaussians_and_an_overview(
    scene_copy: Path, red_click, run_json: Json
) -> None:
    at, truth = red_click
    result = run_json("pick", scene_copy, "--at", at, "--name", "red ball")
    folder = scene_copy / "picks" / "red ball"
    assert result["pick"] == str(folder)
    names = {f"view_{i}" for i in range(10)}
    assert set(result["pixels"]) == names
    assert {path.stem for path in (folder / "masks").iterdir()} == names
    mask = read_label_map(folder / "masks" / "view_0.png")
    assert mask.shape == (72, 96) and set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == result["pixels"]["view_0"]
    assert iou(mask > 0, truth) > MIN_PICK_IOU
    scene = load_scene(scene_copy)
    selected = load_selection(folder / "selection.safetensors", scene).selected
    assert result["gaussians"] == int(selected.sum()) > 0
    assert torch.equal(read_ply(folder / "gaussians.ply").means, scene.gaussians.means[selected])
    with Image.open(folder / "overview.png") as overview:
        assert overview.width > 3 * 400


def test_several_clicks_and_a_new_pick_of_the_same_name(
    scene_copy: Path, synthetic, red_click, run_json: Json
) -> None:
    x, y = synthetic.click(2, "view_5")
    one = run_json("pick", scene_copy, "--at", red_click[0])
    both = run_json("pick", scene_copy, "--at", red_click[0], "--at", f"view_5:{x},{y}")
    assert both["pick"] == one["pick"] == str(scene_copy / "picks" / "object")
    assert both["gaussians"] > one["gaussians"]
    assert all(both["pixels"][name] >= one["pixels"][name] for name in one["pixels"])


def test_a_pick_of_no_gaussian_still_has_its_masks(
    scene_copy: Path, red_click, run_json: Json
) -> None:
    result = run_json("pick", scene_copy, "--at", red_click[0], "--threshold", "0.99999")
    assert result["gaussians"] == 0
    folder = scene_copy / "picks" / "object"
    assert not (folder / "gaussians.ply").exists()
    assert (folder / "overview.png").is_file()


def test_pick_works_without_the_photos(scene_copy: Path, red_click, run_json: Json) -> None:
    path = scene_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"capture": "/moved/away"}))
    run_json("pick", scene_copy, "--at", red_click[0], "-o", scene_copy.parent / "elsewhere")
    assert (scene_copy.parent / "elsewhere" / "overview.png").is_file()
    result = run_json("render", scene_copy)
    assert {p.name for p in Path(result["renders"]).iterdir()} == {
        "color",
        "features",
        "contact_sheet.png",
    }


@pytest.mark.parametrize(
    ("text", "click"),
    [
        ("a:3,4", PointPrompt("a", 3.5, 4.5)),  # whole numbers name a pixel
        ("cam0/0001:3.0,4.25", PointPrompt("cam0/0001", 3.0, 4.25)),
        ("a:b:0,0", PointPrompt("a:b", 0.5, 0.5)),
    ],
)
def test_a_click_is_parsed(text: str, click: PointPrompt) -> None:
    assert parse_click(text) == click


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":1,2", "a:1", "a:1,2,3", "a:x,y", "a:-1,2", "1,2"]
)
def test_a_malformed_click_is_refused(text: str) -> None:
    with pytest.raises(SplatsegError, match="is not FRAME:X,Y, as in frame_00012:320,240"):
        parse_click(text)


def test_cluster_render_evaluate_in_turn(scene_copy: Path, synthetic, run_json: Json) -> None:
    found = run_json("cluster", scene_copy)
    objects = json.loads((scene_copy / "objects.json").read_text())["objects"]
    assert found["objects"] == objects and len(objects) >= 3
    labels = load_scene(scene_copy).labels
    assert labels is not None
    counts = torch.bincount(labels.clamp_min(0))
    assert [row["gaussians"] for row in objects] == counts[1:].tolist()
    assert found["floaters"] == int((labels == FLOATER).sum())
    assert found["unassigned"] + found["floaters"] == int(counts[0])
    assert (scene_copy / "clusters.png").is_file()
    assert (scene_copy / "objects.png").is_file()
    thumbnails = {path.name for path in (scene_copy / "objects").iterdir()}
    assert thumbnails == {f"{row['id']}.png" for row in objects}

    rendered = run_json("render", scene_copy)
    assert rendered["views"] == 2
    for kind in ("photo", "color", "features", "clusters"):
        folder = scene_copy / "renders" / kind
        assert {path.name for path in folder.iterdir()} == {"view_1.png", "view_7.png"}
    with Image.open(rendered["contact_sheet"]) as sheet:
        assert sheet.width > 4 * 400

    for protocol in PROTOCOLS:
        report = run_json("evaluate", scene_copy, synthetic.root, "--protocol", protocol)
        assert report["protocol"] == f"{protocol}/1"
        path = scene_copy / "evaluation" / f"{protocol}.json"
        assert json.loads(path.read_text()) == report
    metrics = load_scene(scene_copy).metrics
    assert set(metrics) == {"training", *PROTOCOLS}
    assert set(metrics["click"]) == {"miou", "mbiou", "biou2"}
    assert set(metrics["click3d"]) == {"miou"}  # the capture does not say where the objects are
    assert set(metrics["objects"]) == {"miou", "pq", "sq", "rq"}


def test_objects_keep_the_ids_that_they_had(scene_copy: Path, run_json: Json) -> None:
    first = run_json("cluster", scene_copy)
    labels = load_scene(scene_copy).labels
    assert labels is not None
    save_labels(scene_copy, torch.where(labels > 0, labels + 10, labels))

    again = run_json("cluster", scene_copy)
    assert [row["id"] for row in again["objects"]] == [row["id"] + 10 for row in first["objects"]]
    fresh = run_json("cluster", scene_copy, "--fresh-ids")
    assert fresh == first


@pytest.mark.parametrize("protocol", ["click", "click3", "random-click"])
def test_the_worst_masks_are_shown(
    protocol: str, scene_copy: Path, synthetic, run_json: Json, capsys
) -> None:
    command = ("evaluate", scene_copy, synthetic.root, "--protocol", protocol)
    assert main([*map(str, command)]) == 0
    path = scene_copy / "evaluation" / f"{protocol}_worst.png"
    assert f"wrote {path}  (look here first)" in capsys.readouterr().out
    with Image.open(path) as sheet:
        assert sheet.width > 3 * 400
        shown = np.asarray(sheet)
    assert (shown == HIGHLIGHT).all(axis=-1).sum() > 100  # outlines of the truth
    run_json(*command)
    with Image.open(path) as sheet:
        assert np.array_equal(np.asarray(sheet), shown)


def test_a_sheet_of_worst_masks_fills_its_rows(trained) -> None:
    """Outlined where the truth is, painted where the mask is; four pictures in two rows."""
    frame = next(frame for frame in trained.frames if frame.name == "view_1")
    size = (frame.lens.height, frame.lens.width)
    truth, nothing = np.zeros((2, *size), dtype=bool)
    truth[20:50, 30:60] = True
    query = Query(1, "view_0", 0.5, 0.5)
    cases = [Case(query, "a ball", "view_1", 0.0, nothing, truth)] * 4
    gone = dataclasses.replace(trained, capture="/moved/away")  # renders in place of photos
    four = worst_montage(gone, cases)
    one = worst_montage(gone, cases[:1])
    assert four.shape == (2 * one.shape[0], one.shape[1], 3)
    assert np.array_equal(four[: len(one), :SHEET_CELL], one[:, :SHEET_CELL])
    outlined = (one == HIGHLIGHT).all(axis=-1)
    rows, columns = np.nonzero(outlined)
    scale = SHEET_CELL / frame.lens.width
    assert np.ptp(rows) == pytest.approx(30 * scale, abs=6)
    assert np.ptp(columns) == pytest.approx(30 * scale, abs=6)
    painted = worst_montage(gone, [dataclasses.replace(cases[0], predicted=truth)])
    assert np.any(painted != one)


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 * mask.astype(np.uint8)).save(path)


@pytest.mark.parametrize(("protocol", "folder"), [("text", "test_mask"), ("3d-ovs", "masks")])
def test_prompts_are_evaluated(
    protocol: str,
    folder: str,
    scene_copy: Path,
    capture_copy: Path,
    synthetic,
    run_json: Json,
    capsys,
) -> None:
    for frame in ("view_1", "view_7"):
        mask = synthetic.truth[frame] == 1
        write_mask(capture_copy / folder / frame / "red ball.png", mask)
    (capture_copy / folder / "classes.txt").write_text("red ball")
    write_mask(capture_copy / "grounding" / "red ball.png", synthetic.truth["view_1"] == 1)
    command = ["evaluate", scene_copy, capture_copy, "--protocol", protocol]
    command += ["--grounding", capture_copy / "grounding"]
    if protocol == "3d-ovs":
        command += ["--truth", capture_copy / folder]
    report = run_json(*command)
    assert report["protocol"] == f"{protocol}/2"
    assert report["miou"] > MIN_PICK_IOU
    assert json.loads((scene_copy / "evaluation" / f"{protocol}.json").read_text()) == report
    assert load_scene(scene_copy).metrics[protocol]["miou"] == report["miou"]
    assert main([*map(str, command)]) == 0
    shown = capsys.readouterr().out
    assert "red ball" in shown and "without the view that the prompts were grounded in" in shown


def test_people_read_a_table(scene_copy: Path, synthetic, capsys) -> None:
    command = ["evaluate", str(scene_copy), str(synthetic.root), "--protocol", "click3"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    for text in ("red ball", "miou", "click3/1: miou 0.", "with each object's worst click"):
        assert text in shown
    assert main(["cluster", str(scene_copy)]) == 0
    assert "3 objects, and 1 of the background;" in capsys.readouterr().out
    assert main([*command[:-1], "objects"]) == 0
    shown = capsys.readouterr().out
    for text in ("parts", "objects/1: miou 0.", "tp 3, fp 0, fn 0", "over-segmented 0"):
        assert text in shown
