"""Videos, as PyAV reads them back."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.export import video
from splatseg.export.path import turntable
from splatseg.export.video import highlighted_frames, object_frames, scene_frames, write_video

av = pytest.importorskip("av")
LOSSY = 12  # levels of gray by which flat pictures may differ in a video


def read_back(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def flat(*levels: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), level, dtype=np.uint8) for level in levels]


@pytest.fixture
def around(synthetic, balls) -> list:
    """A turntable around the first ball."""
    cameras = [frame.camera for frame in load_capture(synthetic.root).frames]
    center = torch.tensor(balls[1][0], dtype=torch.float64)
    return turntable(cameras, center, 4, 65, 49, radius=2 * balls[1][1])


@pytest.mark.parametrize("codecs", [None, {"no such codec": {}, "mpeg4": video.CODECS["mpeg4"]}])
def test_a_video_has_the_frames_that_were_written(tmp_path, monkeypatch, codecs):
    """Also if the build of PyAV lacks H.264."""
    path, levels = tmp_path / "new" / "a.mp4", (40, 120, 200)
    if codecs:
        monkeypatch.setattr(video, "CODECS", codecs)
    assert write_video(path, iter(flat(*levels)), 25) == 3
    frames = read_back(path)
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 3
    assert [frame.mean() for frame in frames] == pytest.approx(levels, abs=LOSSY)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.pix_fmt) == (25, "yuv420p")
        assert codecs is None or stream.codec_context.name == "mpeg4"


@pytest.mark.parametrize(
    ("name", "frames", "sentence"),
    [
        ("a.gif", flat(1), r"suffix '\.gif'; expected \.mp4"),
        ("a.mp4", [], "there is no frame"),
        ("a.mp4", [np.zeros((1, 8, 3), dtype=np.uint8)], "are 8x1; expected 2x2"),
        ("a.mp4", flat(40), "no more"),
    ],
)
def test_bad_frames_are_refused_and_leave_the_video_before(tmp_path, name, frames, sentence):
    def failing():
        yield from frames
        raise SplatsegError("no more")

    path = tmp_path / name
    path.write_bytes(b"before")
    with pytest.raises(SplatsegError, match=sentence):
        write_video(path, failing() if sentence == "no more" else frames)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_without_pyav_a_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SplatsegError, match=r"needs PyAV: pip install 'splatseg\[video\]'"):
        write_video(tmp_path / "a.mp4", flat(1))


def test_a_turntable_of_the_scene_is_written_at_an_even_size(tmp_path, true_scene, around):
    write_video(tmp_path / "a.mp4", scene_frames(true_scene[0], around))
    frames = read_back(tmp_path / "a.mp4")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    assert all(frame.std() > LOSSY for frame in frames)


def test_an_object_alone_or_within_its_scene(true_scene, around):
    """Alone it is in the middle of a plain picture; in its scene all but it is dim."""
    gaussians, labels = true_scene
    weights = (labels == 1).float()
    for frame in object_frames(gaussians, weights, around, (0.0, 0.0, 1.0)):
        assert frame[0, 0].tolist() == [0, 0, 255]
        red, _, blue = frame[24, 32].tolist()
        assert red > 150 > blue
    plain = next(scene_frames(gaussians, around))
    shown = next(highlighted_frames(gaussians, weights, around))
    assert (shown[24, 32] == plain[24, 32]).all()
    ground = np.s_[44:48, 28:36]
    assert 0 < shown[ground].mean() < 0.5 * plain[ground].mean()
    with pytest.raises(SplatsegError, match="no Gaussian is selected"):
        next(object_frames(gaussians, 0.0 * labels, around))
