"""`splatseg capture`: photos or a video become a capture that the other verbs read."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import textured_scene as scene
from scipy.ndimage import gaussian_filter

from splatseg.capture import load_capture
from splatseg.cli import capture as verb
from splatseg.cli import main

VIEWS = 7
Captured = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the verb: its exit status, stdout and stderr."""

    def run(*arguments: object) -> Captured:
        capsys.readouterr()
        status = main(["capture", *map(str, arguments), "--threads", "1"])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and beside them the capture that the verb made of them: read, or take `copy`."""
    folder = tmp_path_factory.mktemp("made")
    scene.write_photos(folder / "photos", range(VIEWS))
    scene.write_photos(folder / "photos" / "elsewhere", range(1), scene=1)
    assert main(["capture", str(folder / "photos"), "--threads", "1"]) == 0
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_photos_become_a_capture_that_can_be_trained_on(made: Path, run: Any) -> None:
    root = made / "photos-capture"
    status, out, err = run(made / "photos", "--json")
    assert status == 0
    result = json.loads(out)
    assert result["capture"] == str(root)
    assert (result["photos"], result["registered"]) == (VIEWS + 1, VIEWS)
    assert result["unregistered"] == ["elsewhere/view_0.png"]
    assert result["points"] == len(load_capture(root).points)
    assert "1 of 8 photos could not be placed: elsewhere/view_0.png" in err
    assert f"next: splatseg masks {root}" in err
    arguments = ["--preset", "rgb", "--iterations", "2", "-o", str(made / "scene")]
    assert main(["train", str(root), *arguments]) == 0


def test_it_says_that_it_is_done(made: Path, run: Any) -> None:
    record = made / "photos-capture" / "sparse" / "0" / "capture.json"
    before = record.stat().st_mtime_ns
    for source in (made / "photos", made / "photos-capture"):
        status, out, _ = run(source)
        assert status == 0 and "--restart finds them anew" in out
    assert record.stat().st_mtime_ns == before


def test_restart_and_new_photos(copy: Path, run: Any) -> None:
    shutil.rmtree(copy / "photos" / "elsewhere")
    for view in (1, 3, 5):
        (copy / "photos" / f"view_{view}.png").unlink()
    scene.write_photos(copy / "photos", range(VIEWS, VIEWS + 1))
    status, out, _ = run(copy / "photos", "-o", copy / "photos-capture")
    assert status == 0 and "5 photos" in out and "anew" not in out
    status, out, _ = run(copy / "photos", "--restart", "--json")
    assert status == 0 and json.loads(out)["photos"] == 5


def test_ctrl_c_keeps_what_was_found(copy: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "find_poses", interrupt)
    shutil.rmtree(copy / "photos-capture" / "sparse")
    status, out, _ = run(copy / "photos")
    assert status == 130 and "run the same command to go on" in out
    assert not (copy / "photos-capture" / "sparse").exists()


def test_a_video_becomes_a_capture(tmp_path: Path, run: Any) -> None:
    av = pytest.importorskip("av", reason="reading videos needs PyAV")
    video = tmp_path / "walk.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = scene.WIDTH, scene.HEIGHT, "yuv420p"
        stream.bit_rate = 20_000_000
        for view in range(6):
            sharp = scene.photo(view)
            blurred = gaussian_filter(sharp, (3, 3, 0))
            for image in (blurred, sharp, blurred):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    status, out, err = run(video, "--frames", 6, "--json")
    assert status == 0 and "the sharpest of 18 frames, 6 in all" in err
    result = json.loads(out)
    assert result["capture"] == str(tmp_path / "walk-capture")
    assert (result["photos"], result["registered"]) == (6, 6)
    names = [frame.name for frame in load_capture(tmp_path / "walk-capture").frames]
    assert names == [f"frame_{i:05}" for i in range(1, 7)]


def refused(captured: Captured) -> str:
    status, out, err = captured
    assert status == 2 and out == "" and "Traceback" not in err
    (sentence,) = [line for line in err.splitlines() if line.startswith("splatseg: ")]
    return sentence


def test_bad_input(tmp_path: Path, run: Any) -> None:
    scene.write_photos(tmp_path / "photos", range(1))
    (tmp_path / "text.txt").write_text("no video")
    assert "nowhere does not exist" in refused(run(tmp_path / "nowhere", "--json"))
    assert "has 1 photos" in refused(run(tmp_path / "photos", "--json"))
    assert "--frames is for videos" in refused(run(tmp_path / "photos", "--frames", 3, "--json"))
    assert "cannot be read as a video" in refused(run(tmp_path / "text.txt", "--json"))


def test_photos_that_do_not_fit_together_leave_no_poses(tmp_path: Path, run: Any) -> None:
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for name in "abc":
        noise = random.integers(0, 256, (60, 80, 3), np.uint8)
        scene.Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.png")
    sentence = refused(run(tmp_path / "photos", "--json"))
    assert "no poses were found for the 3 photos" in sentence and "overlapping" in sentence
    assert not (tmp_path / "photos-capture" / "sparse").exists()


@pytest.mark.parametrize("place", ["transforms.json", "sparse/cameras.txt", "sparse/0/cameras.bin"])
def test_poses_of_others_are_not_replaced(place: str, tmp_path: Path, run: Any) -> None:
    scene.write_photos(tmp_path / "images", range(3))
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("{}")
    assert "has poses that this command did not make" in refused(run(tmp_path, "--json"))
    assert (tmp_path / place).read_text() == "{}"
