"""`splatseg capture`."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.capture.capture import MODEL_FOLDERS, TRANSFORMS_FILE
from splatseg.capture.colmap import is_colmap_model
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.sfm.gather import default_capture, find_photos, gather
from splatseg.sfm.reconstruction import (
    MODEL_FOLDER,
    WORK_FOLDER,
    CameraSharing,
    choose_pairs,
    find_features,
    find_poses,
    match,
    prepare,
    read_record,
    state_of,
    without_features,
    without_matches,
    write_model,
)
from splatseg.sfm.video import extract_frames, open_video

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
        """Bring the photos, find the poses, and say what was written."""
        began = time.monotonic()
        root = self.output or default_capture(self.photos)
        _refuse_other_poses(root)
        photos = self._bring_photos(root, out)
        if self.restart:
            shutil.rmtree(root / WORK_FOLDER, ignore_errors=True)
        record = read_record(root)
        state = state_of(root, photos, self.cameras)
        if self.restart or record is None or record["state"] != state:
            record = self._reconstruct(root, photos, out)
        else:
            out.say(f"{root} has the poses of these photos; --restart finds them anew")
        return _summary(root, record, time.monotonic() - began, out)

    def _bring_photos(self, root: Path, out: Output) -> tuple[str, ...]:
        """The photos in `images/`."""
        if not self.photos.is_file():
            if self.frames is not None:
                raise SplatsegError(f"--frames is for videos, and {self.photos} is none")
            found = find_photos(self.photos, root)
            with out.progress("reading photos", len(found)) as line:
                return gather(self.photos, root, found, line.update)
        video = open_video(self.photos)
        count = video.default_count() if self.frames is None else self.frames
        if count < 1:
            raise SplatsegError(
                f"--frames is {count}",
                expected="at least 1",
            )
        out.say(f"the sharpest of {video.frames} frames, {count} in all")
        with out.progress("reading the video", video.frames) as line:
            return extract_frames(video, root, count, line.update)

    def _reconstruct(self, root: Path, photos: tuple[str, ...], out: Output) -> dict[str, Any]:
        out.say(f"{len(photos)} photos")
        work = prepare(root, photos, self.cameras, self.threads or os.cpu_count() or 1)
        try:
            new = without_features(work)
            with out.progress("finding features", len(new)) as line:
                find_features(work, new, line.update)
            pairs = choose_pairs(work)
            unmatched = without_matches(work, pairs)
            with out.progress("matching pairs", len(unmatched)) as line:
                match(work, unmatched, line.update)
            with out.progress("placing photos", len(photos)) as line:
                found = find_poses(work, pairs, line.update)
        except KeyboardInterrupt as interrupt:
            out.say("stopped; what was found so far is kept: run the same command to go on")
            raise interrupt
        return write_model(work, found)


def _refuse_other_poses(root: Path) -> None:
    """Poses that this command did not make are not replaced, and not overruled."""
    if read_record(root) is not None:
        return
    poses = [root / place for place in MODEL_FOLDERS if is_colmap_model(root / place)]
    if (root / TRANSFORMS_FILE).is_file():
        poses.append(root / TRANSFORMS_FILE)
    if poses:
        raise SplatsegError(
            f"{poses[0]} has poses that this command did not make",
            remedy="name another folder with -o, or move them away",
        )


def _summary(root: Path, record: dict[str, Any], seconds: float, out: Output) -> dict[str, Any]:
    missing = record["unregistered"]
    if missing:
        names = ", ".join(missing[:MAX_LISTED]) + (", …" if len(missing) > MAX_LISTED else "")
        out.say(f"{len(missing)} of {record['photos']} photos could not be placed: {names}")
    if record["other_models"]:
        sizes = ", ".join(map(str, record["other_models"]))
        out.say(
            f"some of them fit together but not with the rest (groups of {sizes}): photos that "
            "show both places would join them"
        )
    out.wrote(
        root / MODEL_FOLDER,
        f"{record['registered']} of {record['photos']} photos, {record['points']} points, "
        f"{record['reprojection_error']:.2f} pixels off on average, {seconds:.0f} s",
    )
    out.next(f"splatseg masks {root}")
    out.next(f"splatseg train {root}")
    result = {key: value for key, value in record.items() if key != "state"}
    return {"capture": str(root)} | result | {"seconds": round(seconds, 1)}
