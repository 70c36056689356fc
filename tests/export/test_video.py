"""Videos, as PyAV reads them back."""

import builtins
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.export import video
from splatseg.export.path import turntable
from splatseg.export.video import (
    highlighted_frames,
    object_frames,
    scene_frames,
    write_video,
)
from splatseg.geometry.gaussians import Gaussians

av = pytest.importorskip("av")
LOSSY = 12  # levels of gray by which flat pictures may differ in a video


def read_back(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def flat(*levels: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), level, dtype=np.uint8) for level in levels]


@pytest.fixture
def around(synthetic: object, balls: dict[int, tuple[tuple[float, float, float], float]]) -> list:
    """A turntable around the first ball."""
    cameras = [frame.camera for frame in load_capture(synthetic.root).frames]  # type: ignore[attr-defined]
    center = torch.tensor(balls[1][0], dtype=torch.float64)
    return turntable(cameras, center, 4, 65, 49, radius=2 * balls[1][1])


def test_a_video_has_the_frames_that_were_written(tmp_path: Path) -> None:
    levels = (40, 120, 200)
    assert write_video(tmp_path / "new" / "a.mp4", iter(flat(*levels)), 25) == 3
    frames = read_back(tmp_path / "new" / "a.mp4")
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 3
    assert [frame.mean() for frame in frames] == pytest.approx(levels, abs=LOSSY)
    with av.open(str(tmp_path / "new" / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.pix_fmt) == (25, "yuv420p")


def test_a_build_without_h264_writes_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = video.CODECS["mpeg4"]
    monkeypatch.setattr(video, "CODECS", {"no such codec": {}, "mpeg4": settings})
    write_video(tmp_path / "a.mp4", flat(40, 200))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert [f.mean() for f in read_back(tmp_path / "a.mp4")] == pytest.approx((40, 200), abs=LOSSY)


def test_a_video_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    def failing() -> object:
        yield from flat(40)
        raise SplatsegError("no more")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(SplatsegError, match="no more"):
        write_video(path, failing())  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "frames", "sentence"),
    [
        ("a.gif", flat(1), r"suffix '\.gif'; expected \.mp4"),
        ("a.mp4", [], "there is no frame"),
        ("a.mp4", [np.zeros((1, 8, 3), dtype=np.uint8)], "are 8x1; expected 2x2"),
    ],
)
def test_bad_input_is_refused(
    tmp_path: Path, name: str, frames: list[np.ndarray], sentence: str
) -> None:
    with pytest.raises(SplatsegError, match=sentence):
        write_video(tmp_path / name, frames)


def test_without_pyav_a_sentence_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = builtins.__import__

    def without(name: str, *args: object) -> object:
        if name == "av":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SplatsegError, match=r"needs PyAV: pip install 'splatseg\[video\]'"):
        write_video(tmp_path / "a.mp4", flat(1))


def test_a_turntable_of_the_scene_is_written_at_an_even_size(
    tmp_path: Path, true_scene: tuple[Gaussians, Tensor], around: list
) -> None:
    write_video(tmp_path / "a.mp4", scene_frames(true_scene[0], around))
    frames = read_back(tmp_path / "a.mp4")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    assert all(frame.std() > LOSSY for frame in frames)


def test_an_object_alone_is_in_the_middle_of_a_plain_picture(
    true_scene: tuple[Gaussians, Tensor], around: list
) -> None:
    gaussians, labels = true_scene
    for frame in object_frames(gaussians, (labels == 1).float(), around, (0.0, 0.0, 1.0)):
        assert frame[0, 0].tolist() == [0, 0, 255]
        red, _, blue = frame[24, 32].tolist()
        assert red > 150 > blue


def test_nothing_selected_is_refused(true_scene: tuple[Gaussians, Tensor], around: list) -> None:
    gaussians, labels = true_scene
    with pytest.raises(SplatsegError, match="no Gaussian is selected"):
        next(object_frames(gaussians, 0.0 * labels, around))


def test_an_object_within_its_scene_is_as_bright_as_before_and_the_rest_is_dim(
    true_scene: tuple[Gaussians, Tensor], around: list
) -> None:
    gaussians, labels = true_scene
    plain = next(scene_frames(gaussians, around))
    shown = next(highlighted_frames(gaussians, (labels == 1).float(), around))
    assert (shown[24, 32] == plain[24, 32]).all()
    ground = np.s_[44:48, 28:36]
    assert 0 < shown[ground].mean() < 0.5 * plain[ground].mean()
