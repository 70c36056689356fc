"""One photo of a capture: its name, its file, and the cameras before and after undistortion."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from splatseg.capture.lens import Lens
from splatseg.geometry.camera import Camera

PHOTO_FOLDER = "images"


@dataclass(frozen=True)
class Frame:
    """A photo with a pose."""

    name: str
    """The photo's path under `images/` without its suffix, folders kept: `cam0/0001`."""
    photo: str
    """The photo's path relative to the capture, with forward slashes: `images/cam0/0001.jpg`."""
    camera: Camera
    """The camera of the undistorted, downscaled image."""
    lens: Lens
    """How the photo itself was taken."""
    is_test: bool
    """Held out from training."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict that `from_json` reads back exactly."""
        nested = {"camera": self.camera.to_json(), "lens": self.lens.to_json()}
        return {"name": self.name, "photo": self.photo, "is_test": self.is_test} | nested

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Frame":
        """Rebuild a frame from `to_json`'s dict."""
        nested = {"camera": Camera.from_json(data["camera"]), "lens": Lens.from_json(data["lens"])}
        return Frame(**(data | nested))


def frame_name(photo: str) -> str:
    """`images/cam0/0001.jpg` is the frame `cam0/0001`."""
    path = PurePosixPath(photo)
    if path.parts[0] == PHOTO_FOLDER:
        path = path.relative_to(PHOTO_FOLDER)
    return path.with_suffix("").as_posix()
