"""All stages in a row: what is there is used, what is finished is not done again."""

import json
import shutil
from pathlib import Path

import pytest
from builders import two_squares as scene
from builders.stages import Stages, write_mask
from builders.synthetic import Synthetic, short_config

from splatseg.cli import main
from splatseg.errors import SplatsegError
from splatseg.progress import Canceled
from splatseg.scene import load_scene
from splatseg.workflows import pipeline
from splatseg.workflows.pipeline import run

ALL = ["check_model", "reconstruct", "make_masks", "train", "cluster", "render_views"]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    stages = Stages()
    for name in (*ALL, "load_scene"):
        monkeypatch.setattr(pipeline, name, getattr(stages, name))
    return stages


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """With poses, and with no masks."""
    root = scene.write_photos(tmp_path / "capture")
    scene.add_poses(root)
    return root


@pytest.mark.parametrize(("kind", "named"), [("photos", True), ("video", False)])
def test_photos_and_videos_go_through_all_stages(
    kind: str, named: bool, tmp_path: Path, stages: Stages
) -> None:
    source, root = tmp_path / kind, tmp_path / ("out" if named else f"{kind}-capture")
    source.touch() if kind == "video" else source.mkdir()
    result, took = stages.run(source, root if named else None, iterations=7)
    assert took == ALL
    assert stages.calls["reconstruct"] == {"source": source, "capture": root}
    assert (result.capture, result.scene) == (root, root / "splatseg")
    training = stages.calls["train"]
    assert (training["capture"], training["folder"]) == (root, root / "splatseg")
    assert training["masks"] == result.mask_set == "default"
    assert training["config"].iterations == 7 and training["config"].lift.steps > 0
    assert result.first_click == ("a", 64, 48)
    assert result.to_json()["masks"] == {"model": None}
    assert list(result.to_json()) == [
        *("capture", "scene", "mask_set", "poses", "masks", "training", "clusters", "renders")
    ]


@pytest.mark.parametrize("named", [True, False])
def test_what_a_capture_has_is_used(
    named: bool, capture: Path, tmp_path: Path, stages: Stages
) -> None:
    write_mask(capture, "theirs", "a", made_here=False)
    folder = tmp_path / "scene" if named else capture / "splatseg"
    result, took = stages.run(capture, folder if named else None)
    assert took == ["train", "cluster", "render_views"]
    assert (result.capture, result.scene, result.mask_set) == (capture, folder, "theirs")
    assert result.poses is None and result.masks is None
    (capture / "transforms.json").unlink()
    assert stages.run(capture, folder)[1][0] == "reconstruct"
    assert stages.calls["reconstruct"] == {"source": capture, "capture": capture}


@pytest.mark.parametrize("stop_at", [None, *ALL[1:]])
def test_it_goes_on_where_it_was(stop_at: str | None, tmp_path: Path, stages: Stages) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    stages.stop_at = stop_at
    if stop_at is None:
        stages.run(photos)
    else:
        with pytest.raises(Canceled):
            stages.run(photos)
    stages.stop_at = None
    result, took = stages.run(photos)
    expected = {  # poses and training look themselves whether something is left to do
        None: ["reconstruct", "train"],
        "reconstruct": ALL,
        "make_masks": ALL,
        "train": ["reconstruct", "train", "cluster", "render_views"],
        "cluster": ["reconstruct", "train", "cluster", "render_views"],
        "render_views": ["reconstruct", "train", "render_views"],
    }
    assert took == expected[stop_at]
    if stop_at is None:
        assert not result.training.was_trained
        assert result.masks is result.clusters is result.renders is None
    took = stages.run(photos, restart=True)[1]
    assert took == ["reconstruct", "train", "cluster", "render_views"]


def test_a_set_that_was_begun_here_is_finished(capture: Path, stages: Stages) -> None:
    write_mask(capture, "begun", "a")
    result, took = stages.run(capture)
    assert took == ["check_model", "make_masks", "train", "cluster", "render_views"]
    assert stages.calls["make_masks"] == {"model": None, "name": "begun"}
    assert result.mask_set == "begun"
    assert "make_masks" not in stages.run(capture)[1]


def test_which_masks(capture: Path, stages: Stages) -> None:
    result, _ = stages.run(capture, masks="mine")  # there are none, so that it names the new ones
    assert stages.calls["make_masks"] == {"model": None, "name": "mine"}
    result, _ = stages.run(capture, model="other")
    assert stages.calls["check_model"] == {"model": "other"} and result.mask_set == "other"
    for masks, sentence in (
        (None, r"holds 2 mask sets \(mine, other\); choose one with `masks`"),
        ("third", "has no mask set third; it has mine, other"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            stages.run(capture, masks=masks)
        assert not stages.calls
    result, took = stages.run(capture, masks="other")
    assert result.mask_set == "other" and "make_masks" not in took


def test_appearance_alone_takes_no_masks(capture: Path, stages: Stages) -> None:
    result, took = stages.run(capture, preset="rgb")
    assert took == ["train", "render_views"]
    assert result.mask_set is None and stages.calls["train"]["masks"] is None


def test_what_is_missing_is_refused_before_poses_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "reconstruct", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for source, options, sentence in (
        (tmp_path / "no", {}, "no does not exist; expected a folder of photos, a video"),
        (tmp_path, {"model": "nowhere"}, "the model nowhere does not exist"),
        (tmp_path, {"device": "cuda"}, "torch finds no GPU"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            run(source, **options)


def test_a_capture_becomes_a_scene_with_objects(
    synthetic: Synthetic,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(pipeline.PRESETS, "plus", short_config("plus", lift={"steps": 60}))
    folder = tmp_path / "scene"
    command = ["run", str(synthetic.root), "-o", str(folder), "--iterations", "150"]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["scene"], result["mask_set"]) == (str(folder), "noisy")
    assert result["poses"] is None and result["masks"] is None
    assert result["training"]["gaussians"] == len(load_scene(folder).gaussians)
    objects = [row for row in result["clusters"]["objects"] if row["kind"] == "object"]
    assert len(objects) >= 3  # the balls
    assert (folder / "renders" / "contact_sheet.png").is_file()
    (click,) = [line for line in err.splitlines() if line.startswith("next: ")]
    assert main(click.removeprefix("next: splatseg ").split()) == 0
    shutil.rmtree(folder / "picks")
    assert main(command) == 0
    assert "is already trained with these settings; --restart" in capsys.readouterr().out
