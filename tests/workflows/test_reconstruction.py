"""Photos or a video become a capture, once; poses of other tools are left alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import textured_scene as scene
from builders.progress import Recorder
from builders.two_squares import contents

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.progress import Canceled
from splatseg.workflows.reconstruction import find_pose_files, reconstruct

VIEWS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and beside them the capture that was made of them: read, or take `copy`."""
    folder = tmp_path_factory.mktemp("made")
    scene.write_photos(folder / "photos", range(VIEWS))
    scene.write_photos(folder / "photos" / "elsewhere", range(1), scene=1)
    progress = Recorder()
    found = reconstruct(folder / "photos", threads=1, progress=progress)
    root = folder / "photos-capture"
    assert found.was_found and found.capture == root and found.model == root / "sparse" / "0"
    stages = ["reading photos", "finding features", "matching pairs", "placing photos"]
    assert progress.stages == stages
    assert progress.notes == [f"{VIEWS + 1} photos"]
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.mark.parametrize("source", ["photos", "photos-capture"])
def test_what_was_found_is_kept(source: str, made: Path) -> None:
    root, progress = made / "photos-capture", Recorder()
    before = contents(root)
    found = reconstruct(made / source, threads=1, progress=progress)
    assert contents(root) == before
    assert not found.was_found and progress.stages == ["reading photos"]
    assert (found.photos, found.registered, found.other_models) == (VIEWS + 1, VIEWS, ())
    assert found.unregistered == ("elsewhere/view_0.png",) and found.cameras == 1
    assert found.points == len(load_capture(root).points) and 0 < found.reprojection_error < 1


def test_other_photos_a_restart_and_what_was_canceled(copy: Path) -> None:
    photos, root = copy / "photos", copy / "photos-capture"
    shutil.rmtree(root / "sparse")
    with pytest.raises(Canceled):
        reconstruct(photos, threads=1, progress=Recorder(cancel_in="placing photos"))
    assert not (root / "sparse").exists()
    progress = Recorder()
    assert reconstruct(photos, threads=1, progress=progress).registered == VIEWS
    assert progress.stages == ["reading photos", "placing photos"]
    scene.write_photos(photos, range(VIEWS, VIEWS + 1))
    shutil.rmtree(photos / "elsewhere")
    progress = Recorder()
    assert reconstruct(photos, threads=1, progress=progress).photos == VIEWS + 1
    assert ("finding features", 1, 1) in progress.updates
    progress = Recorder(cancel_in="matching pairs")
    with pytest.raises(Canceled):
        reconstruct(photos, threads=1, restart=True, progress=progress)
    assert ("finding features", VIEWS + 1, VIEWS + 1) in progress.updates


def test_a_video_becomes_a_capture(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="reading videos needs PyAV")
    video, progress = tmp_path / "walk.mkv", Recorder()
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = scene.WIDTH, scene.HEIGHT, "yuv420p"
        stream.bit_rate = 20_000_000
        for view in range(VIEWS):
            frame = av.VideoFrame.from_ndarray(scene.photo(view), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = reconstruct(video, threads=1, progress=progress)
    assert progress.notes == [f"the sharpest of {VIEWS} frames, {VIEWS} in all", f"{VIEWS} photos"]
    assert (found.capture, found.registered) == (tmp_path / "walk-capture", VIEWS)
    names = [frame.name for frame in load_capture(found.capture).frames]
    assert names == [f"frame_{i:05}" for i in range(1, VIEWS + 1)]
    with pytest.raises(SplatsegError, match="`frames` is 0; expected at least 1"):
        reconstruct(video, frames=0)


def test_sources_that_cannot_be_used(tmp_path: Path) -> None:
    scene.write_photos(tmp_path / "photo", range(1))
    (tmp_path / "text.txt").write_text("no video")
    (tmp_path / "noise").mkdir()
    for name in "abc":
        noise = np.random.default_rng(ord(name)).integers(0, 256, (60, 80, 3), np.uint8)
        scene.Image.fromarray(noise).save(tmp_path / "noise" / f"{name}.png")
    for source, frames, sentence in (
        ("nowhere", None, "nowhere does not exist"),
        ("photo", None, "has 1 photos"),
        ("photo", 3, "`frames` is for videos, and .*photo is none"),
        ("text.txt", None, "cannot be read as a video"),
        ("noise", None, "no poses were found for the 3 photos .*overlapping"),
    ):
        with pytest.raises(SplatsegError, match=sentence):
            reconstruct(tmp_path / source, frames=frames, threads=1)
    assert not (tmp_path / "noise-capture" / "sparse").exists()


@pytest.mark.parametrize("place", ["transforms.json", "sparse/cameras.txt", "sparse/0/cameras.bin"])
def test_poses_of_others_are_not_replaced(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    found = find_pose_files(tmp_path)
    assert found == [path if place == "transforms.json" else path.parent]
    with pytest.raises(SplatsegError, match="has poses that splatseg did not find"):
        reconstruct(tmp_path, tmp_path)
    assert path.read_text() == "{}"
