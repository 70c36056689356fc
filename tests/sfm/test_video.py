"""The sharpest frame of each interval of a video is kept; broken videos give what they can."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from builders.progress import Recorder
from PIL import Image
from scipy.ndimage import gaussian_filter

from splatseg.errors import SplatsegError
from splatseg.progress import SILENT, Canceled, Progress
from splatseg.sfm.video import Video, extract_frames, open_video, sharpness

av = pytest.importorskip("av", reason="reading videos needs PyAV: pip install splatseg[video]")

WIDTH, HEIGHT, RATE = 160, 120, 30
INTERVAL = 10  # frames, of which one is sharp
SHARP_AT = (7, 2, 5, 9, 0, 4)
FRAMES = INTERVAL * len(SHARP_AT)
BLUR = 1.0  # pixels, of the others


@cache
def pattern() -> np.ndarray:
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH + 2 * FRAMES))
    smooth = gaussian_filter(noise, 1.2)
    return (smooth - smooth.min()) / np.ptp(smooth) * 255


def picture(index: int) -> np.ndarray:
    """A pattern that moves on by two pixels a frame."""
    return pattern()[:, 2 * index : 2 * index + WIDTH]


def frames() -> list[np.ndarray]:
    """Sixty frames, RGB; all but one in ten are blurred."""
    sharp = {INTERVAL * i + at for i, at in enumerate(SHARP_AT)}
    gray = [picture(i) if i in sharp else gaussian_filter(picture(i), BLUR) for i in range(FRAMES)]
    return [np.repeat(np.rint(image).astype(np.uint8)[..., None], 3, axis=-1) for image in gray]


def write_video(path: Path, images: list[np.ndarray], rotation: int = 0) -> Path:
    """MPEG-4, whose encoder every build of FFmpeg has."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        for image in [*images, None]:  # None: no more
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
    return path


def extract(path: Path, root: Path, count: int, progress: Progress = SILENT) -> list[str]:
    return list(extract_frames(open_video(path), root, count, progress))


def shown(root: Path, names: list[str]) -> list[int]:
    """Which frames of the video the files show."""
    originals = np.stack([picture(i) for i in range(FRAMES)])
    images = [np.asarray(Image.open(root / "images" / name).convert("L"), float) for name in names]
    return [int(np.argmin(np.mean((originals - image) ** 2, axis=(1, 2)))) for image in images]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "walk.mkv", frames())


def test_the_sharp_frames_are_kept(video: Path, tmp_path: Path) -> None:
    found, progress = open_video(video), Recorder()
    assert found.frames == FRAMES and abs(found.seconds - 2) < 0.1
    names = extract(video, tmp_path, 6, progress)
    assert names == [f"frame_{i:05}.jpg" for i in range(1, 7)]
    assert shown(tmp_path, names) == [INTERVAL * i + at for i, at in enumerate(SHARP_AT)]
    assert progress.updates == [("reading the video", i + 1, FRAMES) for i in range(FRAMES)]
    state = json.loads((tmp_path / ".splatseg" / "video.json").read_bytes())
    stat = video.stat()
    assert state == {"video": [stat.st_size, stat.st_mtime_ns], "count": 6, "frames": names}
    all_names = extract(video, tmp_path, 1000)
    assert len(all_names) == FRAMES
    assert shown(tmp_path, all_names[::7]) == list(range(0, FRAMES, 7))


def test_sharpness_falls_with_blur_and_ignores_brightness() -> None:
    image = picture(0)
    values = [sharpness(gaussian_filter(image, blur).astype(np.uint8)) for blur in (0, 0.5, 1, 2)]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((8, 8), 200, np.uint8)) == 0.0
    dim = (image / 2).astype(np.uint8)
    assert sharpness(dim) == sharpness(dim + 100)


def test_canceling_leaves_nothing_and_what_is_done_is_kept(video: Path, tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        extract(video, tmp_path, 6, Recorder(cancel_in="reading the video", cancel_at=30))
    assert list(tmp_path.rglob("*.jpg")) == []
    names = extract(video, tmp_path, 6)
    first = tmp_path / "images" / names[0]
    first.write_bytes(b"seen")
    assert extract(video, tmp_path, 6) == names and first.read_bytes() == b"seen"
    assert len(extract(video, tmp_path, 5)) == 5
    assert len(list((tmp_path / "images").iterdir())) == 5
    first.unlink()
    extract(video, tmp_path, 5)
    assert first.is_file()


@pytest.mark.parametrize("name", ["mine.jpg", "frame_00001.jpg"])
def test_other_photos_are_not_replaced(name: str, video: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).touch()
    with pytest.raises(SplatsegError, match=rf"holds {name}.*name another folder with `output`"):
        extract(video, tmp_path, 6)


@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="PyAV writes rotations from 18 on"
)
@pytest.mark.parametrize(("rotation", "corner"), [(90, 2), (-90, 1), (180, 3)])
def test_rotated_videos_become_upright(rotation: int, corner: int, tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :24] = 255  # the top left corner as stored
    path = write_video(tmp_path / "a.mp4", [image] * 4, rotation)
    names = extract(path, tmp_path, 3)
    upright = np.asarray(Image.open(tmp_path / "images" / names[0]).convert("L"))
    assert upright.shape == ((48, 64) if rotation == 180 else (64, 48))
    corners = upright[[4, 4, -4, -4], [4, -4, 4, -4]] > 128
    assert corners.tolist().index(True) == corner and corners.sum() == 1


@pytest.mark.parametrize(
    ("seconds", "frames", "count"),
    [(2.0, 60, 50), (30.0, 900, 90), (600.0, 18000, 150), (1.0, 24, 24)],
)
def test_how_many_by_default(seconds: float, frames: int, count: int) -> None:
    assert Video(Path("a.mp4"), frames, seconds, seconds).default_count() == count


def test_damage_is_told(video: Path, tmp_path: Path) -> None:
    damaged, data = tmp_path / "damaged.mkv", video.read_bytes()
    middle = len(data) // 2
    damaged.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :])
    assert len(extract(damaged, tmp_path, 6)) >= 3
    damaged.write_bytes(data[:middle])
    found, progress = open_video(damaged), Recorder()
    assert 20 < found.frames < 40
    # Two seconds are too short for the note: claim more, as a longer video's header would.
    longer = Video(damaged, found.frames, found.seconds, 10.0)
    names = list(extract_frames(longer, tmp_path, 3, progress))
    assert len(names) == 3 and shown(tmp_path, names)[-1] < found.frames
    (note,) = progress.notes
    assert "damaged.mkv is damaged: the first " in note and "of its 10.0 seconds" in note
    short = Video(write_video(tmp_path / "a.mkv", frames()[:2]), 60, 2.0, 2.0)
    with pytest.raises(SplatsegError, match=r"a\.mkv is damaged: 1 of its frames can be read"):
        extract_frames(short, tmp_path, 6)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.txt", r"a\.txt cannot be read as a video"),
        ("a.png", r"a\.png is a video of 1 frames; expected a video"),
        ("a.mp4", r"a\.mp4 cannot be read as a video.*lack its index"),
        ("a.mkv", r"needs PyAV: pip install splatseg\[video\]"),
    ],
)
def test_files_that_are_no_video(name: str, sentence: str, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / name
    if name == "a.mp4":
        path.write_bytes(write_video(path, frames()).read_bytes()[:5000])
    elif name == "a.png":
        Image.new("RGB", (32, 24)).save(path)
    else:
        path.write_text("not a video\n")
    if name == "a.mkv":
        monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SplatsegError, match=sentence):
        open_video(path)
