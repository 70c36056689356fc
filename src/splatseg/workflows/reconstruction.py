"""Poses and sparse points for photos, or for the sharp frames of a video."""

import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splatseg.capture.capture import MODEL_FOLDERS, TRANSFORMS_FILE
from splatseg.capture.colmap import is_colmap_model
from splatseg.errors import SplatsegError
from splatseg.progress import SILENT, Progress
from splatseg.sfm.config import CameraSharing
from splatseg.sfm.gather import default_capture, find_photos, gather
from splatseg.sfm.reconstruction import (
    MODEL_FOLDER,
    WORK_FOLDER,
    choose_pairs,
    find_features,
    find_poses,
    match_pairs,
    prepare,
    read_record,
    state_of,
    without_features,
    without_matches,
    write_model,
)
from splatseg.sfm.video import extract_frames, open_video


@dataclass(frozen=True)
class ReconstructionResult:
    """The poses of a capture, and what they were made from."""

    capture: Path
    photos: int
    registered: int
    """Photos with a pose."""
    unregistered: tuple[str, ...]
    """Photos without a pose, by their path under `images/`."""
    other_models: tuple[int, ...]
    """Sizes of groups of photos that fit together, but not with the rest."""
    points: int
    cameras: int
    reprojection_error: float
    """Mean distance, in pixels, between points as projected and as seen."""
    seconds: float
    was_found: bool
    """False if the capture had the poses of these photos before."""

    @property
    def model(self) -> Path:
        """The folder with the COLMAP model."""
        return self.capture / MODEL_FOLDER

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        values = asdict(self) | {
            "capture": str(self.capture),
            "unregistered": list(self.unregistered),
            "other_models": list(self.other_models),
            "seconds": round(self.seconds, 1),
        }
        del values["was_found"]
        return values


def reconstruct(
    source: Path,
    output: Path | None = None,
    *,
    frames: int | None = None,
    cameras: CameraSharing = "auto",
    threads: int | None = None,
    restart: bool = False,
    progress: Progress = SILENT,
) -> ReconstructionResult:
    """Find the poses of photos, or of the sharp frames of a video, and write a capture.

    What is found is kept. After an interruption, or with other photos, the next call goes on from
    there; with the same photos it does nothing.

    Args:
        source: a folder of photos, searched with the folders in it, or a video file.
        output: the capture folder to write. None: SOURCE-capture beside the source, or the source
            itself if it has photos in `images/`, where nothing is copied.
        frames: of a video, how many frames to keep, at least 1. None: three a second, 50 to 150.
        cameras: which photos share a camera and its lens.
        threads: CPU threads, at least 1; None: all.
        restart: find features, matches and poses anew.
        progress: stages "reading photos" or "reading the video", "finding features",
            "matching pairs" and "placing photos".

    Returns:
        The counts and the error of the model in `sparse/0`.

    Raises:
        SplatsegError: the source cannot be used, the capture has poses of other tools, or no poses
            can be found.
        KeyboardInterrupt: stopped; what was found is kept.
    """
    began = time.monotonic()
    root = output or default_capture(source)
    _refuse_other_poses(root)
    photos = _bring_photos(source, root, frames, progress)
    if restart:
        shutil.rmtree(root / WORK_FOLDER, ignore_errors=True)
    record = read_record(root)
    was_found = restart or record is None or record["state"] != state_of(root, photos, cameras)
    if was_found or record is None:
        progress.note(f"{len(photos)} photos")
        record = _find_model(root, photos, cameras, threads or os.cpu_count() or 1, progress)
    return ReconstructionResult(
        capture=root,
        photos=record["photos"],
        registered=record["registered"],
        unregistered=tuple(record["unregistered"]),
        other_models=tuple(record["other_models"]),
        points=record["points"],
        cameras=record["cameras"],
        reprojection_error=record["reprojection_error"],
        seconds=time.monotonic() - began,
        was_found=was_found,
    )


def find_pose_files(root: Path) -> list[Path]:
    """The COLMAP models and the transforms.json of a capture, the one that is used first."""
    found = [root / place for place in MODEL_FOLDERS if is_colmap_model(root / place)]
    transforms = root / TRANSFORMS_FILE
    return [*found, transforms] if transforms.is_file() else found


def _bring_photos(
    source: Path, root: Path, frames: int | None, progress: Progress
) -> tuple[str, ...]:
    """The names of the photos, which are in `images/` of the capture then."""
    if not source.is_file():
        if frames is not None:
            raise SplatsegError(f"`frames` is for videos, and {source} is none")
        return gather(source, root, find_photos(source, root), progress)
    video = open_video(source)
    count = video.default_count() if frames is None else frames
    if count < 1:
        raise SplatsegError(f"`frames` is {count}", expected="at least 1")
    progress.note(f"the sharpest of {video.frames} frames, {count} in all")
    return extract_frames(video, root, count, progress)


def _find_model(
    root: Path, photos: tuple[str, ...], cameras: CameraSharing, threads: int, progress: Progress
) -> dict[str, Any]:
    work = prepare(root, photos, cameras, threads)
    find_features(work, without_features(work), progress)
    pairs = choose_pairs(work)
    match_pairs(work, without_matches(work, pairs), progress)
    return write_model(work, find_poses(work, pairs, progress))


def _refuse_other_poses(root: Path) -> None:
    """Poses that were not found here are not replaced, and not overruled."""
    poses = find_pose_files(root)
    if poses and read_record(root) is None:
        raise SplatsegError(
            f"{poses[0]} has poses that splatseg did not find",
            remedy="name another folder with `output`, or move them away",
        )
