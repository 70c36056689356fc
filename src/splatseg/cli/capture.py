"""`splatseg capture`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from splatseg.cli.output import Output
from splatseg.sfm.config import CameraSharing

if TYPE_CHECKING:
    from splatseg.workflows.reconstruction import ReconstructionResult

MAX_LISTED = 10  # photos that one line names


@dataclass(frozen=True)
class Capture:
    """Find camera poses and sparse points for photos, or for the sharp frames of a video.

    Run again after an interruption, or with more photos, it goes on where it was.
    """

    photos: tyro.conf.Positional[Path]
    """Folder of photos, searched with the folders in it; or a video file."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Capture folder to write. By default PHOTOS-capture beside PHOTOS, or PHOTOS itself if it is a
    capture with photos in images/, where nothing is copied."""
    frames: int | None = None
    """Of a video: frames to keep, the sharpest of as many equal intervals; by default three a
    second, 50 to 150 in all."""
    cameras: CameraSharing = "auto"
    """Photos that share a camera and its lens. auto: those of one size and EXIF focal length.
    folder: those in one folder. photo: none."""
    threads: int | None = None
    """CPU threads; all by default."""
    restart: bool = False
    """Find features, matches and poses anew."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Find the poses, and say what was written."""
        from splatseg.workflows.reconstruction import reconstruct

        try:
            with out.progress_bar() as progress:
                found = reconstruct(
                    self.photos,
                    self.output,
                    frames=self.frames,
                    cameras=self.cameras,
                    threads=self.threads,
                    restart=self.restart,
                    progress=progress,
                )
        except KeyboardInterrupt:
            out.say("stopped; what was found so far is kept: run the same command to go on")
            raise
        show_reconstruction(found, out)
        out.next(f"splatseg masks {found.capture}")
        out.next(f"splatseg train {found.capture}")
        return found.to_json()


def show_reconstruction(found: "ReconstructionResult", out: Output) -> None:
    """Say what came of the photos."""
    if not found.was_found:
        out.say(f"{found.capture} has the poses of these photos; --restart finds them anew")
    missing = found.unregistered
    if missing:
        names = ", ".join(missing[:MAX_LISTED]) + (", …" if len(missing) > MAX_LISTED else "")
        out.say(f"{len(missing)} of {found.photos} photos could not be placed: {names}")
    if found.other_models:
        sizes = ", ".join(map(str, found.other_models))
        out.say(
            f"some of them fit together but not with the rest (groups of {sizes}): photos that "
            "show both places would join them"
        )
    out.wrote(
        found.model,
        f"{found.registered} of {found.photos} photos, {found.points} points, "
        f"{found.reprojection_error:.2f} pixels off on average, {found.seconds:.0f} s",
    )
