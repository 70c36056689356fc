"""The sharpest frame of each interval of a video is kept; broken videos give what they can."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from splatseg.errors import SplatsegError
from splatseg.sfm.video import Video, extract_frames, open_video, sharpness

av = pytest.importorskip("av", reason="reading videos needs PyAV: pip install splatseg[video]")

WIDTH, HEIGHT, RATE = 160, 120, 30
INTERVAL = 10  # frames, of which one is sharp
SHARP_AT = (7, 2, 5, 9, 0, 4)
BLUR = 1.0  # pixels, of the others


def picture(index: int) -> np.ndarray:
    """A pattern that moves on by two pixels a frame."""
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH + 2 * 64))
    pattern = gaussian_filter(noise, 1.2)
    pattern = (pattern - pattern.min()) / np.ptp(pattern) * 255
    return pattern[:, 2 * index : 2 * index + WIDTH]


def frames(blur: float = BLUR) -> list[np.ndarray]:
    """Sixty frames, RGB; all but one in ten are blurred."""
    sharp = {INTERVAL * i + at for i, at in enumerate(SHARP_AT)}
    gray = [
        picture(i) if i in sharp else gaussian_filter(picture(i), blur)
        for i in range(INTERVAL * len(SHARP_AT))
    ]
    return [np.repeat(np.rint(image).astype(np.uint8)[..., None], 3, axis=-1) for image in gray]


def write_video(path: Path, images: list[np.ndarray], rotation: int | None = None) -> Path:
    """MPEG-4, whose encoder every build of FFmpeg has."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for image in images:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def extract(path: Path, root: Path, count: int) -> list[str]:
    return list(extract_frames(open_video(path), root, count, lambda done: None))


def indices(root: Path, names: list[str]) -> list[int]:
    """Which frames of the video the files show."""
    originals = np.stack([picture(i) for i in range(60)])
    shown = [np.asarray(Image.open(root / "images" / name).convert("L"), float) for name in names]
    return [int(np.argmin(np.mean((originals - image) ** 2, axis=(1, 2)))) for image in shown]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "walk.mkv", frames())


def test_the_sharp_frames_are_kept(video: Path, tmp_path: Path) -> None:
    reported: list[int] = []
    found = open_video(video)
    assert found.frames == 60 and abs(found.seconds - 2) < 0.1
    names = list(extract_frames(found, tmp_path, 6, reported.append))
    assert names == [f"frame_{i:05}.jpg" for i in range(1, 7)]
    assert indices(tmp_path, names) == [INTERVAL * i + at for i, at in enumerate(SHARP_AT)]
    assert reported == list(range(1, 61))


def test_more_frames_than_there_are(video: Path, tmp_path: Path) -> None:
    names = extract(video, tmp_path, 1000)
    assert indices(tmp_path, names) == list(range(60))


def test_sharpness_falls_with_blur_and_ignores_brightness() -> None:
    image = picture(0)
    values = [sharpness(gaussian_filter(image, blur).astype(np.uint8)) for blur in (0, 0.5, 1, 2)]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((8, 8), 200, np.uint8)) == 0.0
    dim = (image / 2).astype(np.uint8)
    assert sharpness(dim) == sharpness(dim + 100)


@pytest.mark.parametrize(
    ("seconds", "frames", "expected"),
    [(2.0, 60, 50), (30.0, 900, 90), (600.0, 18000, 150), (1.0, 24, 24)],
)
def test_how_many_by_default(seconds: float, frames: int, expected: int) -> None:
    assert Video(Path("a.mp4"), frames, seconds, seconds).default_count() == expected


def test_frames_are_kept_until_something_changes(video: Path, tmp_path: Path) -> None:
    names = extract(video, tmp_path, 6)
    first = tmp_path / "images" / names[0]
    first.write_bytes(b"seen")
    assert extract(video, tmp_path, 6) == names and first.read_bytes() == b"seen"
    assert len(extract(video, tmp_path, 5)) == 5
    assert len(list((tmp_path / "images").iterdir())) == 5
    first.unlink()
    extract(video, tmp_path, 5)
    assert first.is_file()


def test_other_photos_are_not_replaced(video: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").touch()
    with pytest.raises(SplatsegError, match=r"holds mine\.jpg.*name another folder with -o"):
        extract(video, tmp_path, 6)
    (tmp_path / "images" / "mine.jpg").rename(tmp_path / "images" / "frame_00001.jpg")
    with pytest.raises(SplatsegError, match=r"holds frame_00001\.jpg"):
        extract(video, tmp_path, 6)


def test_an_interrupted_extraction_leaves_nothing_half_done(video: Path, tmp_path: Path) -> None:
    def report(done: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_frames(open_video(video), tmp_path, 6, report)
    assert list(tmp_path.rglob("*.jpg")) == []
    assert len(extract(video, tmp_path, 6)) == 6


def test_a_broken_tail(video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut = tmp_path / "cut.mkv"
    data = video.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    found = open_video(cut)
    assert 20 < found.frames < 40
    # Two seconds are too short for the warning: claim more, as a longer video's header would.
    longer = Video(cut, found.frames, found.seconds, 10.0)
    names = list(extract_frames(longer, tmp_path, 3, lambda done: None))
    assert len(names) == 3 and indices(tmp_path, names)[-1] < found.frames
    assert len(caplog.messages) == 1
    assert "cut.mkv is damaged: the first " in caplog.text and "of its 10.0 seconds" in caplog.text


def test_damage_in_the_middle(video: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mkv"
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    damaged.write_bytes(data)
    assert len(extract(damaged, tmp_path, 6)) >= 3


def test_a_recording_without_its_index(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SplatsegError, match=r"a\.mp4 cannot be read as a video.*lack its index"):
        open_video(path)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    text, photo = tmp_path / "a.txt", tmp_path / "a.png"
    text.write_text("not a video\n")
    Image.new("RGB", (32, 24)).save(photo)
    with pytest.raises(SplatsegError, match=r"a\.txt cannot be read as a video"):
        open_video(text)
    with pytest.raises(SplatsegError, match=r"a\.png is a video of 1 frames; expected a video"):
        open_video(photo)


@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="PyAV writes rotations from 18 on"
)
@pytest.mark.parametrize(("rotation", "corner"), [(90, 2), (-90, 1), (180, 3)])
def test_rotated_videos_become_upright(rotation: int, corner: int, tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :24] = 255  # the top left corner as stored
    path = write_video(tmp_path / "a.mp4", [image] * 4, rotation)
    names = extract(path, tmp_path, 3)
    shown = np.asarray(Image.open(tmp_path / "images" / names[0]).convert("L"))
    assert shown.shape == ((48, 64) if rotation == 180 else (64, 48))
    corners = shown[[4, 4, -4, -4], [4, -4, 4, -4]] > 128
    assert corners.tolist().index(True) == corner and corners.sum() == 1


def test_without_pyav(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SplatsegError, match=r"needs PyAV: pip install splatseg\[video\]"):
        open_video(video)


def test_the_state_says_what_was_extracted(video: Path, tmp_path: Path) -> None:
    names = extract(video, tmp_path, 6)
    state = json.loads((tmp_path / ".splatseg" / "video.json").read_bytes())
    stat = video.stat()
    assert state == {"video": [stat.st_size, stat.st_mtime_ns], "count": 6, "frames": names}
