"""Sets of 2D masks of a capture's photos: made with a model, imported, drawn, and in figures.

A set is a folder in `masks/` of the capture. A capture may have poses or none yet: with poses, the
held-out photos get no masks unless they are asked for.
"""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

import torch
from PIL import Image

from splatseg.capture import load_capture
from splatseg.capture.frame import PHOTO_FOLDER, frame_name
from splatseg.capture.photo import photo_size, read_photo
from splatseg.engine.threads import torch_threads
from splatseg.errors import SplatsegError
from splatseg.files import replacing_file, replacing_folder
from splatseg.images import RGB, scaled
from splatseg.masks import Segments, SetStatistics, mask_statistics, open_masks, write_segments
from splatseg.masks.formats import Photo, read_masks
from splatseg.masks.generation.config import GenerationConfig
from splatseg.masks.generation.generate import generate_masks
from splatseg.masks.provenance import (
    MadeFile,
    OtherProgramsMasks,
    Provenance,
    finished,
    provenance_files,
)
from splatseg.models.segmenter import Segmenter
from splatseg.models.segmenters import load_segmenter
from splatseg.progress import SILENT, Progress
from splatseg.sfm.gather import find_photos
from splatseg.viz.segments import paint_segments
from splatseg.workflows.config import Device
from splatseg.workflows.reconstruction import find_pose_files

SETS_FOLDER = "masks"
PREVIEW_FOLDER = "mask_previews"  # not in masks/, where every folder is a set
PREVIEW_SIDE = 1600  # pixels
PREVIEW_QUALITY = 90
PHOTOS_AT_ONCE = 2  # on the CPU: more throughput than all its threads on one; each takes memory
STAGE = "making masks"

FILE_KEYS = {"points_per_side": "grid", "crop_points_per_side": "crop_grid"}
"""Settings that mask files call otherwise than `GenerationConfig` does."""


@dataclass(frozen=True)
class MasksResult:
    """A set of masks that was made or imported."""

    masks: Path
    """The folder of the set."""
    model: str | None
    """The model that made the masks; None for imported ones."""
    format: str | None
    """The format that was imported; None for masks that were made."""
    photos: int
    """Photos that have a mask file."""
    held_out: int
    """Photos that have none because they are held out from training."""
    made: int
    """Photos whose masks are new."""
    empty: tuple[str, ...]
    """Frames in which nothing was found."""
    unreadable: tuple[str, ...]
    """Frames whose photo cannot be read, and that have no mask file therefore."""
    masks_per_photo: int
    """Of the median photo."""
    seconds_per_photo: float | None
    """Of those that are new; None where none was made."""

    @property
    def name(self) -> str:
        """What the set is called."""
        return self.masks.name

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict: what the masks were made by, or their format, then the counts."""
        origin = {"format": self.format} if self.model is None else {"model": self.model}
        return {
            "masks": str(self.masks),
            **origin,
            "photos": self.photos,
            "made": self.made,
            "empty": list(self.empty),
            "unreadable": list(self.unreadable),
            "masks_per_photo": self.masks_per_photo,
            "seconds_per_photo": self.seconds_per_photo,
        }


def make_masks(
    capture: Path,
    *,
    model: str | None = None,
    name: str | None = None,
    with_held_out: bool = False,
    config: GenerationConfig | None = None,
    device: Device = "auto",
    restart: bool = False,
    progress: Progress = SILENT,
) -> MasksResult:
    """Make the masks that are missing in a set, with a model of the SAM family.

    Photos whose mask file is whole are passed over, so a call after an interruption goes on.

    Args:
        capture: folder with `images/`, with poses or without.
        model: folder with ONNX files or a Hugging Face model, or an id of its hub. None: the first
            in the cache folder of this user, else SAM ViT-B from the hub.
        name: of the set. None: the model's.
        with_held_out: make masks of the held-out photos too.
        config: how masks are made. None: as those that the set has, else the defaults.
        device: where a Hugging Face model computes; those in ONNX run on the CPU.
        restart: discard the masks that were made for this set before.
        progress: stage "making masks", with the number of "masks" so far as details; notes name
            photos that are left out.

    Returns:
        The set, and how many photos have how many masks.

    Raises:
        SplatsegError: there is no model, no photo can be read, or the set has masks of another
            program, model or other settings.
        KeyboardInterrupt: stopped; the masks of the photos that are done are kept.
    """
    _check_name(name)
    at = _model_device(device)
    photos = _find_photos(capture, progress)
    at_once = 1 if at.type == "cuda" else min(torch.get_num_threads(), PHOTOS_AT_ONCE, len(photos))
    with torch_threads(torch.get_num_threads() // at_once):
        segmenter = load_segmenter(model, device=at)
        folder = _set_folder(capture, name or _file_safe(segmenter.name))
        files = provenance_files(folder)
        config = config or _config_of(files)
        provenance = _provenance(segmenter.name, config)
        if restart:
            for file in files.values():
                file.path.unlink()
            files = {}
        there = finished(files, provenance, folder)
        wanted = {k: photo for k, photo in photos.items() if with_held_out or not photo.is_test}
        work = _Work({frame: count for frame, count in there.items() if frame in wanted})
        progress.note(
            f"masks of {len(wanted)} photos by {segmenter.name}"
            + (f"; {len(work.masks)} have theirs" if work.masks else "")
        )
        missing = {frame: photo for frame, photo in wanted.items() if frame not in work.masks}
        try:
            _generate(segmenter, config, provenance, missing, folder, at_once, work, progress)
        except KeyboardInterrupt:
            progress.note(
                f"stopped; {len(work.masks)} of {len(wanted)} photos have their masks in {folder}"
            )
            raise
    if not work.masks:
        raise SplatsegError(f"no photo of {capture} can be read: {work.reason}")
    held_out = len(photos) - len(wanted)
    return _result(folder, work, model=segmenter.name, format=None, held_out=held_out)


def import_masks(
    capture: Path,
    source: Path,
    *,
    format: str | None = None,
    name: str | None = None,
    progress: Progress = SILENT,
) -> MasksResult:
    """Write another tool's masks as a new set of a capture.

    Args:
        capture: folder with `images/`, with poses or without.
        source: file or folder with the masks.
        format: a key of `splatseg.masks.formats.FORMATS`. None: recognized by the files.
        name: of the set. None: the format's.
        progress: stage "importing masks".

    Raises:
        SplatsegError: the masks cannot be read or match no photo, or the set is there already.
            Nothing is written then.
    """
    _check_name(name)
    photos = {k: photo.listed for k, photo in _find_photos(capture, progress).items()}
    found = read_masks(source, photos, format)
    folder = _set_folder(capture, name or found.format)
    if folder.exists():
        raise SplatsegError(
            f"{folder} is there already",
            remedy="name another set with `name`, or remove it",
        )
    work = _Work({})
    with replacing_folder(folder) as new:
        for frame, segments in found:
            write_segments(new / f"{frame}.json", segments, photos[frame].file_name)
            work.masks[frame] = len(segments)
            work.made += 1
            progress.update("importing masks", work.made, len(found))
    without = len(photos) - len(work.masks)
    progress.note(
        f"masks of {len(work.masks)} photos from {source}, of the format {found.format}"
        + (f"; {without} have none there" if without else "")
    )
    return _result(folder, work, model=None, format=found.format, held_out=0)


def draw_masks(capture: Path, *, name: str | None = None, progress: Progress = SILENT) -> Path:
    """Draw the masks of a set on the photos that have some.

    Args:
        capture: folder with `images/` and a mask set.
        name: of the set. None: the only one.
        progress: stage "drawing masks"; notes name photos that are not drawn.

    Returns:
        The folder with the pictures: JPEG, at most 1,600 pixels wide.

    Raises:
        SplatsegError: there is no such set, or more than one and none is named.
    """
    photos = _find_photos(capture)
    masks = open_masks(capture, find_mask_set(capture, name).name, list(photos))
    folder = capture / PREVIEW_FOLDER / masks.name
    for done, frame in enumerate(masks.files, start=1):
        photo = photos[frame]
        try:
            pixels, segments = photo.read(), masks.segments(frame, photo.listed.size)
        except SplatsegError as error:
            progress.note(f"not drawn: {error}")
            continue
        if segments is not None:
            _save_preview(folder / f"{frame}.jpg", pixels, segments)
        progress.update("drawing masks", done, len(masks.files))
    return folder


def describe_masks(
    capture: Path, *, name: str | None = None, progress: Progress = SILENT
) -> SetStatistics:
    """Describe a set in figures, and flag photos whose masks look broken.

    Held-out photos count only where they have masks.

    Args:
        capture: folder with `images/` and a mask set.
        name: of the set. None: the only one.
        progress: stage "reading masks".

    Raises:
        SplatsegError: there is no such set, or more than one and none is named.
    """
    photos = _find_photos(capture)
    masks = open_masks(capture, find_mask_set(capture, name).name, list(photos))
    sizes = {
        frame: photo.listed.size
        for frame, photo in photos.items()
        if not photo.is_test or frame in masks.files
    }
    return mask_statistics(masks, sizes, progress)


def list_mask_sets(capture: Path) -> list[str]:
    """The names of a capture's mask sets, sorted."""
    masks = capture / SETS_FOLDER
    folders = [path for path in masks.iterdir() if path.is_dir()] if masks.is_dir() else []
    return sorted(folder.name for folder in folders if not folder.name.startswith("."))


def find_mask_set(capture: Path, name: str | None, parameter: str = "name") -> Path:
    """The folder of the set of that name, or of the only one where `name` is None.

    Raises:
        SplatsegError: there is no such set, or more than one and none is named.
    """
    _check_name(name, parameter)
    sets, masks = list_mask_sets(capture), capture / SETS_FOLDER
    if not sets:
        raise SplatsegError(
            f"{masks} holds no mask set yet",
            remedy=f"make one with splatseg masks {capture}",
        )
    if name is None and len(sets) > 1:
        raise SplatsegError(
            f"{masks} holds {len(sets)} mask sets ({', '.join(sets)})",
            remedy=f"choose one with `{parameter}`",
        )
    if name not in (None, *sets):
        raise SplatsegError(
            f"{masks} has no mask set {name}",
            remedy=f"it has {', '.join(sets)}",
        )
    return _set_folder(capture, sets[0] if name is None else name)


def is_finished(capture: Path, name: str) -> bool:
    """Whether a set needs no more work: another tool's, or one with a file for each photo.

    Held-out photos need none.
    """
    try:
        files = provenance_files(_set_folder(capture, name))
    except OtherProgramsMasks:
        return True
    whole = {frame for frame, file in files.items() if file.provenance is not None}
    return all(photo.is_test or frame in whole for frame, photo in _find_photos(capture).items())


def check_model(model: str | None, device: Device = "auto") -> None:
    """Load a segmentation model and let it go: to know before long work that it is there.

    Raises:
        SplatsegError: there is no such model, or it cannot be loaded.
    """
    load_segmenter(model, device=_model_device(device))


class _PhotoFile(NamedTuple):
    """A photo that can have masks."""

    path: Path
    listed: Photo
    is_test: bool

    def read(self) -> RGB:
        return read_photo(self.path, like=self.listed.size)


@dataclass
class _Work:
    """What has come of the photos so far."""

    masks: dict[str, int]
    """How many masks each photo has."""
    made: int = 0
    seconds: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    reason: str = ""
    """Why the first of those could not be read."""


def _generate(
    segmenter: Segmenter,
    config: GenerationConfig,
    provenance: Provenance,
    photos: Mapping[str, _PhotoFile],
    folder: Path,
    at_once: int,
    work: _Work,
    progress: Progress,
) -> None:
    """Make the masks of every photo that can be read, and keep count in `work`.

    Files are written here and not by the threads, so that an interruption leaves none half done.
    """
    began = time.monotonic()

    def make(photo: _PhotoFile) -> Segments | SplatsegError:
        try:
            pixels = photo.read()
        except SplatsegError as error:
            return error
        return generate_masks(segmenter, pixels, config)

    progress.update(STAGE, 0, len(photos))
    with _threads(at_once, progress) as threads:
        waiting = {threads.submit(make, photo): frame for frame, photo in photos.items()}
        for done, future in enumerate(as_completed(waiting), start=1):
            frame, made = waiting[future], future.result()
            if isinstance(made, SplatsegError):
                progress.note(f"left out: {made}")
                work.unreadable.append(frame)
                work.reason = work.reason or str(made)
            else:
                file_name = photos[frame].listed.file_name
                write_segments(folder / f"{frame}.json", made, file_name, provenance)
                work.masks[frame] = len(made)
                work.made += 1
                work.seconds = time.monotonic() - began
            progress.update(STAGE, done, len(photos), {"masks": sum(work.masks.values())})


@contextmanager
def _threads(count: int, progress: Progress) -> Iterator[ThreadPoolExecutor]:
    """Threads that finish what they have begun, and begin nothing more, when work is stopped."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    except KeyboardInterrupt:
        progress.note("stopping, once the photos in work are done with")
        raise
    finally:
        threads.shutdown(cancel_futures=True)


def _result(
    folder: Path, work: _Work, *, model: str | None, format: str | None, held_out: int
) -> MasksResult:
    return MasksResult(
        masks=folder,
        model=model,
        format=format,
        photos=len(work.masks),
        held_out=held_out,
        made=work.made,
        empty=tuple(frame for frame, count in work.masks.items() if count == 0),
        unreadable=tuple(work.unreadable),
        masks_per_photo=median_low(work.masks.values()),
        seconds_per_photo=work.seconds / work.made if work.seconds else None,
    )


def _save_preview(path: Path, photo: RGB, segments: Segments) -> None:
    height, width = photo.shape[:2]
    shrink = min(1.0, PREVIEW_SIDE / max(height, width))
    painted = paint_segments(scaled(photo, max(1, round(width * shrink))), segments)
    with replacing_file(path, painted.nbytes) as new:
        Image.fromarray(painted).save(new, format="JPEG", quality=PREVIEW_QUALITY)


def _find_photos(root: Path, progress: Progress = SILENT) -> dict[str, _PhotoFile]:
    """The photos that can have masks, by frame."""
    return _posed_photos(root) if find_pose_files(root) else _unposed_photos(root, progress)


def _posed_photos(root: Path) -> dict[str, _PhotoFile]:
    """The photos with a pose."""
    photos = {}
    for frame in load_capture(root).frames:
        file_name = frame.photo.removeprefix(f"{PHOTO_FOLDER}/")
        listed = Photo(file_name, (frame.lens.width, frame.lens.height))
        photos[frame.name] = _PhotoFile(root / frame.photo, listed, frame.is_test)
    return photos


def _unposed_photos(root: Path, progress: Progress) -> dict[str, _PhotoFile]:
    """The photos in `images/`, as they are stored; none is held out before there are poses."""
    folder = root / PHOTO_FOLDER
    if not folder.is_dir():
        raise SplatsegError(
            f"{root} has no folder {PHOTO_FOLDER}",
            expected=(
                f"a capture: photos in {folder}, which splatseg capture makes of other "
                "folders and of videos"
            ),
        )
    photos: dict[str, _PhotoFile] = {}
    reasons = []
    for path in find_photos(root, root):
        name = path.relative_to(folder).as_posix()
        try:
            photo = _PhotoFile(path, Photo(name, photo_size(path)), is_test=False)
        except SplatsegError as error:
            progress.note(f"left out: {error}")
            reasons.append(str(error))
            continue
        other = photos.setdefault(frame_name(name), photo)
        if other is not photo:
            raise SplatsegError(
                f"{other.path} and {path.name} would both have the masks of the frame "
                f"{frame_name(name)}",
                remedy="remove or rename one",
            )
    if not photos:
        reason = f": {reasons[0]}" if reasons else "; put the photos there"
        raise SplatsegError(f"{folder} has no photo that can be read{reason}")
    return photos


def _provenance(model: str, config: GenerationConfig) -> dict[str, Any]:
    """What each mask file says of how it was made."""
    settings = {FILE_KEYS.get(name, name): value for name, value in asdict(config).items()}
    return {"model": model, **settings}


def _config_of(files: Mapping[str, MadeFile]) -> GenerationConfig:
    """The settings that a set was begun with; the defaults if it has no whole file."""
    names = {FILE_KEYS.get(name, name): name for name in asdict(GenerationConfig())}
    made = next((file.provenance for file in files.values() if file.provenance), {})
    return GenerationConfig(**{names[key]: value for key, value in made.items() if key in names})


def _model_device(device: Device) -> torch.device:
    """Where a model computes: unlike rendering, this takes no gsplat."""
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise SplatsegError(
            "torch finds no GPU",
            remedy="`device` cuda needs an NVIDIA card, its driver, and a build of torch for CUDA",
        )
    return torch.device("cuda" if has_gpu and device != "cpu" else "cpu")


def _set_folder(capture: Path, name: str) -> Path:
    return capture / SETS_FOLDER / name


def _check_name(name: str | None, parameter: str = "name") -> None:
    if name is not None and (Path(name).parts != (name,) or name.startswith(".")):
        raise SplatsegError(
            f"`{parameter}` is {name!r}",
            expected="a folder's name, as in sam-vit-base",
        )


def _file_safe(model: str) -> str:
    """A folder's name for a model: of facebook/sam-vit-base the last part."""
    return re.sub(r"[^\w.-]+", "-", model.rpartition("/")[2]).strip(".-") or "sam"
