"""Videos of a scene, or of an object of it, as MP4.

H.264 where the installed PyAV can write it, else MPEG-4 part 2, which fewer browsers play.
Progress counts views, in the stage "video".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.files import replacing_file
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.images import to_uint8
from splatseg.progress import SILENT, Progress, tracked
from splatseg.render import project, rasterize, render
from splatseg.segmentation.selection import SELECTED, weights_margin
from splatseg.viz.pictures import highlight

FRAMES_PER_SECOND = 30
PLAIN = (1.0, 1.0, 1.0)
CODECS = {  # in the order of preference, each with settings of a quality that shows no blocks
    "libx264": {"crf": "18", "preset": "medium"},
    "mpeg4": {"qscale": "3", "flags": "+qscale"},
}

Picture = UInt8[np.ndarray, "_ _ 3"]


def scene_frames(
    gaussians: Gaussians, cameras: Sequence[Camera], progress: Progress = SILENT
) -> Iterator[Picture]:
    """Renders of the whole scene from each camera."""
    for camera in tracked(cameras, "video", progress):
        with torch.no_grad():
            yield to_uint8(render(gaussians, camera).image)


def object_frames(
    gaussians: Gaussians,
    weights: Float[Tensor, " n"],
    cameras: Sequence[Camera],
    background: tuple[float, float, float] = PLAIN,
    progress: Progress = SILENT,
) -> Iterator[Picture]:
    """Renders of an object alone, on a background of one color.

    Args:
        gaussians: All Gaussians of the scene.
        weights: How much of each Gaussian belongs to the object, in [0, 1].
        cameras: The views.
        background: RGB in [0, 1].
        progress: Told of the views.

    Raises:
        SplatsegError: none is selected.
    """
    selected = weights >= SELECTED
    if not bool(selected.any()):
        raise SplatsegError(
            "no Gaussian is selected, so there is nothing to show",
            remedy="pick an object",
        )
    alone = gaussians.select(selected)
    color = alone.means.new_tensor(background)
    for camera in tracked(cameras, "video", progress):
        with torch.no_grad():
            rendered = render(alone, camera)
        yield to_uint8(rendered.image + (1 - rendered.alpha[..., None]) * color)


def highlighted_frames(
    gaussians: Gaussians,
    weights: Float[Tensor, " n"],
    cameras: Sequence[Camera],
    progress: Progress = SILENT,
) -> Iterator[Picture]:
    """Renders of the scene from each camera, dimmed outside the object of these weights."""
    for camera in tracked(cameras, "video", progress):
        view = project(gaussians, camera)
        with torch.no_grad():
            image = to_uint8(rasterize(view, view.colors).image)
        inside = weights_margin(gaussians, view, weights) >= 0
        yield highlight(image, inside.cpu().numpy())


def write_video(
    path: Path, frames: Iterable[Picture], frames_per_second: int = FRAMES_PER_SECOND
) -> int:
    """Write pictures of one size as MP4: how many there are.

    An odd last row or column is left out: the colors of a video have half its size.

    Raises:
        SplatsegError: `path` is no .mp4, there is no frame, or PyAV is not installed.
    """
    if path.suffix.lower() != ".mp4":
        raise SplatsegError(
            f"{path} has the suffix {path.suffix!r}",
            expected=".mp4",
        )
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise SplatsegError(
            f"there is no frame to write to {path}",
            expected="at least one",
        )
    height, width = (2 * (side // 2) for side in first.shape[:2])
    if height == 0 or width == 0:
        raise SplatsegError(
            f"the frames for {path} are {first.shape[1]}x{first.shape[0]}",
            expected="2x2 or more",
        )
    av = _pyav(path)
    written = 0
    with replacing_file(path, first.nbytes) as temporary, _container(av, temporary) as container:
        stream = _add_stream(av, container, width, height, frames_per_second)
        for image in chain([first], remaining):
            even = np.ascontiguousarray(image[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            written += 1
        container.mux(stream.encode())
    return written


def _container(av: Any, path: Path) -> Any:
    """An MP4 to be filled; its index goes to the front, so that it plays while it loads."""
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def _add_stream(av: Any, container: Any, width: int, height: int, frames_per_second: int) -> Any:
    name = _codec(av)
    stream = container.add_stream(name, rate=frames_per_second, options=CODECS[name])
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _codec(av: Any) -> str:
    """The first of CODECS that this build of FFmpeg can write; it always has its own."""
    return next(name for name in CODECS if name in av.codecs_available and _encodes(av, name))


def _encodes(av: Any, name: str) -> bool:
    try:
        av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _pyav(path: Path) -> Any:
    """The library; imported where it is used, for it is an extra."""
    try:
        import av
    except ImportError as error:
        raise SplatsegError(f"writing {path} needs PyAV: pip install 'splatseg[video]'") from error
    return av
