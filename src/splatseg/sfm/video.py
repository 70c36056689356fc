"""The sharp frames of a video, as photos.

The video is split into equal intervals and the sharpest frame of each is kept: a camera in a hand
shakes, and of neighboring frames, which show nearly the same, some are much sharper than others.
A video that ends early, or is broken in places, gives the frames that can be read.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from splatseg.capture.frame import PHOTO_FOLDER
from splatseg.capture.photo import JPEG_QUALITY
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder, write_bytes
from splatseg.progress import SILENT, Progress
from splatseg.sfm.gather import MIN_PHOTOS

FRAMES_PER_SECOND, MIN_FRAMES, MAX_FRAMES = 3, 50, 150  # kept, unless a number is asked for
SHARPNESS_SIDE = 960  # pixels: the longest side that sharpness is measured at
STAGE = "reading the video"
MISSING_SECONDS = 1.0  # shorter ends may be sound without picture
FRAME_NAME = re.compile(r"frame_\d{5}\.jpg")
STATE_FILE = Path(".splatseg", "video.json")
QUARTER_TURNS = {
    90: Image.Transpose.ROTATE_90,
    -90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    -180: Image.Transpose.ROTATE_180,
}


@dataclass(frozen=True)
class Video:
    """What can be read of a video file, by its packets; nothing is decoded for this."""

    path: Path
    frames: int
    seconds: float
    """Up to the last packet that is there."""
    claimed_seconds: float
    """As the file's header has it."""

    def default_count(self) -> int:
        """How many frames to keep: three a second, 50 to 150 in all, no more than there are."""
        wanted = round(FRAMES_PER_SECOND * self.seconds)
        return min(self.frames, max(MIN_FRAMES, min(MAX_FRAMES, wanted)))


def open_video(path: Path) -> Video:
    """Look through a video file; refuses what is none."""
    frames, end = 0, 0.0
    with _opened(path) as (container, stream):
        claimed = _seconds(stream.duration, stream.time_base)
        claimed = claimed or _seconds(container.duration, 1e-6)
        start = _seconds(stream.start_time, stream.time_base)
        for packet in _packets(container, stream):
            if packet.size > 0:
                frames += 1
                shown = _seconds(packet.pts, stream.time_base)
                end = max(end, shown + _seconds(packet.duration, stream.time_base) - start)
    if frames < MIN_PHOTOS:
        raise SplatsegError(
            f"{path} is a video of {frames} frames",
            expected="a video of a scene from several places, or a folder of photos",
        )
    return Video(path, frames, end, max(claimed, end))


def extract_frames(
    video: Video, root: Path, count: int, progress: Progress = SILENT
) -> tuple[str, ...]:
    """Write the sharpest frame of each of `count` intervals to `root`'s `images/`: their names.

    Frames that an earlier call extracted are kept if video and count are the same, and replaced
    otherwise. Progress counts the frames of the video that were decoded.

    Raises:
        SplatsegError: `images/` holds other photos, or fewer than three frames can be read.
    """
    count = min(count, video.frames)
    stat = video.path.stat()
    state: dict[str, Any] = {"video": [stat.st_size, stat.st_mtime_ns], "count": count}
    images = root / PHOTO_FOLDER
    made = _read_state(root)
    if made is not None and {key: made.get(key) for key in state} == state:
        names = made["frames"]
        if names and all((images / name).is_file() for name in names):
            return tuple(names)
    _refuse_other_photos(images, made is not None)
    with replacing_folder(images) as folder:
        names = _write_sharpest(video, folder, count, progress)
        # Before the frames are in place: a state without them is made again, while frames without
        # a state would be taken for photos of somebody else's.
        text = json.dumps(state | {"frames": names})
        write_bytes(root / STATE_FILE, text.encode())
    return tuple(names)


def sharpness(luma: UInt8[np.ndarray, "h w"]) -> float:
    """The variance of the Laplacian; for frames that show the same, more is sharper."""
    pixels: Float32[np.ndarray, "h w"] = luma.astype(np.float32)
    across = pixels[1:-1, :-2] + pixels[1:-1, 2:]
    down = pixels[:-2, 1:-1] + pixels[2:, 1:-1]
    return float(np.var(across + down - 4 * pixels[1:-1, 1:-1]))


def _write_sharpest(video: Video, folder: Path, count: int, progress: Progress) -> list[str]:
    """Decode the video once; a note says so if it ends before it claims to."""
    seconds = 0.0

    def watched(frames: Iterator[Any], start: float) -> Iterator[Any]:
        nonlocal seconds
        for done, frame in enumerate(frames, 1):
            seconds = max(seconds, (frame.time or 0.0) - start)
            progress.update(STAGE, min(done, video.frames), video.frames)
            yield frame

    def interval(numbered: tuple[int, Any]) -> int:
        return min(numbered[0], video.frames - 1) * count // video.frames

    names: list[str] = []
    with _opened(video.path) as (container, stream):
        start = _seconds(stream.start_time, stream.time_base)
        numbered = enumerate(watched(_frames(container, stream), start))
        for _, group in groupby(numbered, interval):  # which keeps no frame but the best
            _, frame = max(group, key=lambda each: sharpness(_small_luma(each[1])))
            names.append(f"frame_{len(names) + 1:05}.jpg")
            _upright(frame).save(folder / names[-1], quality=JPEG_QUALITY)
    if len(names) < MIN_PHOTOS:
        raise SplatsegError(
            f"{video.path} is damaged: {len(names)} of its frames can be read",
            remedy="copy or export the video again",
        )
    if video.claimed_seconds - seconds > MISSING_SECONDS:
        progress.note(
            f"{video.path} is damaged: the first {seconds:.1f} of its {video.claimed_seconds:.1f} "
            "seconds can be read, and the frames are taken from there"
        )
    return names


def _small_luma(frame: Any) -> UInt8[np.ndarray, "h w"]:
    shrunk = max(1.0, max(frame.width, frame.height) / SHARPNESS_SIDE)
    width, height = round(frame.width / shrunk), round(frame.height / shrunk)
    return frame.reformat(width=width, height=height, format="gray").to_ndarray()


def _upright(frame: Any) -> Image.Image:
    """The frame as a player shows it."""
    image = frame.to_image()
    turn = QUARTER_TURNS.get(frame.rotation)
    return image if turn is None else image.transpose(turn)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """The frames that can be decoded; packets that cannot are passed over."""
    from av.error import FFmpegError

    stream.thread_type = "AUTO"
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets up to the end of the file, or to where it is broken off."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, FFmpegError):
            return


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream."""
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise SplatsegError("reading videos needs PyAV: pip install splatseg[video]") from error
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise SplatsegError(
            f"{path} cannot be read as a video ({error.strerror})",
            expected="a video, or a folder of photos",
            remedy="a recording that was cut off may lack its index, and is lost then",
        ) from error
    with container:
        if not container.streams.video:
            raise SplatsegError(
                f"{path} has no pictures",
                expected="a video, or a folder of photos",
            )
        yield container, container.streams.video[0]


def _seconds(ticks: int | None, time_base: Any) -> float:
    """0 where the file does not tell."""
    return float(ticks * time_base) if ticks and time_base else 0.0


def _read_state(root: Path) -> dict[str, Any] | None:
    """What `extract_frames` noted, if it worked here."""
    try:
        return json.loads((root / STATE_FILE).read_bytes())
    except (OSError, ValueError):
        return None


def _refuse_other_photos(images: Path, made_here: bool) -> None:
    """Frames of a video replace those of another, and nothing else."""
    names = sorted(path.name for path in images.iterdir()) if images.is_dir() else []
    others = [name for name in names if not (made_here and FRAME_NAME.fullmatch(name))]
    if others:
        raise SplatsegError(
            f"{images} holds {others[0]}, which is no frame of a video that was extracted there",
            remedy="name another folder with `output`",
        )
