"""`splatseg masks`."""

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median_low
from typing import Annotated, Any, Literal, NamedTuple

import torch
import tyro
from PIL import Image

from splatseg.capture import load_capture
from splatseg.capture.capture import MODEL_FOLDERS, TRANSFORMS_FILE
from splatseg.capture.colmap import is_colmap_model
from splatseg.capture.frame import PHOTO_FOLDER, frame_name
from splatseg.capture.photo import photo_size, read_photo
from splatseg.cli.output import Output
from splatseg.engine.threads import torch_threads
from splatseg.errors import SplatsegError
from splatseg.files import replacing_file, replacing_folder
from splatseg.images import RGB, scaled
from splatseg.masks import MaskSet, Segments, open_masks, write_segments
from splatseg.masks.formats import Photo, read_masks
from splatseg.masks.generation.config import GenerationConfig
from splatseg.masks.generation.generate import generate_masks
from splatseg.masks.provenance import Provenance, finished, provenance_files
from splatseg.masks.statistics import mask_statistics
from splatseg.models.segmenter import Segmenter
from splatseg.models.segmenters import load_segmenter
from splatseg.sfm.gather import find_photos
from splatseg.viz.segments import paint_segments

PREVIEW_FOLDER = "mask_previews"  # not in masks/, where every folder is a set
PREVIEW_SIDE = 1600  # pixels
PREVIEW_QUALITY = 90
MAX_FLAGS = 12  # that are printed
PHOTOS_AT_ONCE = 2  # on the CPU: more throughput than all its threads on one; each takes memory


class _Source(NamedTuple):
    """A photo that can have masks."""

    path: Path
    photo: Photo
    is_test: bool

    def read(self) -> RGB:
        return read_photo(self.path, like=self.photo.size)


@dataclass(frozen=True)
class Masks:
    """Make 2D masks of a capture's photos with a model of the SAM family, or import them.

    Run again after an interruption, it goes on where it was.
    """

    capture: tyro.conf.Positional[Path]
    """Folder with images/, with poses or still without."""
    name: str | None = None
    """Name of the mask set, a folder in CAPTURE/masks/; by default the model's or the format's."""
    model: str | None = None
    """Folder with ONNX files or a Hugging Face model, or an id of its hub; see docs/masks.md."""
    with_held_out: Annotated[bool, tyro.conf.arg(name="all")] = False
    """Make masks of the held-out photos too, which training does not look at."""
    preview: bool = False
    """Draw the masks on the photos: of the set that is there, unless flags say how to make one."""
    stats: bool = False
    """Print the masks in figures: of the set that is there, unless flags say how to make one."""
    source: Annotated[Path | None, tyro.conf.arg(name="import")] = None
    """File or folder with another tool's masks, to be read in place of making any."""
    format: str | None = None
    """What --import reads, as docs/formats.md calls it; by default recognized by its files."""
    restart: bool = False
    """Begin again: discard the masks that were made for this set before."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a Hugging Face model computes; those in ONNX run on the CPU."""
    threads: int | None = None
    """CPU threads; all by default."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""
    config: Annotated[GenerationConfig, tyro.conf.arg(name="")] = field(
        default_factory=GenerationConfig
    )

    def run(self, out: Output) -> dict[str, Any]:
        """Make, import or only look at a set of masks."""
        self._check_flags()
        has_poses = _has_poses(self.capture)
        sources = _posed(self.capture) if has_poses else _unposed(self.capture, out)
        result: dict[str, Any]
        if self.source is not None:
            result = self._import(self.source, sources, out)
        elif self._only_looks:
            result = {"masks": str(self._existing_set())}
        else:
            at_once = self._photos_at_once(len(sources))
            with torch_threads(torch.get_num_threads() // at_once):
                result = self._make(sources, at_once, out)
        folder = Path(result["masks"])
        if self.preview or self.stats:
            masks = open_masks(self.capture, folder.name, list(sources))
            if self.preview:
                result["preview"] = str(_draw(masks, sources, self.capture, out))
            if self.stats:
                result["statistics"] = _show_statistics(masks, sources, out)
        if has_poses:
            out.next(f"splatseg train {self.capture} --masks {folder.name}")
        else:
            out.next(f"splatseg capture {self.capture}")
        return result

    def _check_flags(self) -> None:
        name = self.name
        if name is not None and (Path(name).parts != (name,) or name.startswith(".")):
            raise SplatsegError(
                f"--name is {name!r}",
                expected="a folder's name, as in sam-vit-base",
            )
        if self.source is None and self.format is not None:
            raise SplatsegError(
                f"--format {self.format} says what --import reads, but nothing is imported",
                remedy="add --import FILE_OR_FOLDER",
            )
        if self.source is not None and self._says_how_to_make:
            raise SplatsegError(
                "--import reads masks that another tool made, so --model, --all, --restart and the "
                "settings of a model have no meaning beside it",
                remedy="leave out one or the other",
            )
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SplatsegError(
                "torch finds no GPU",
                remedy=(
                    "--device cuda needs an NVIDIA card, its driver, and a build of torch for CUDA"
                ),
            )

    @property
    def _says_how_to_make(self) -> bool:
        is_told = self.model is not None or self.with_held_out or self.restart
        return is_told or self.config != GenerationConfig()

    @property
    def _only_looks(self) -> bool:
        """A mistyped name must not start an hour's work, so figures alone never make masks."""
        sets = _sets(self.capture)
        is_there = bool(sets) if self.name is None else self.name in sets
        return not self._says_how_to_make and (self.stats or (self.preview and is_there))

    def _existing_set(self) -> Path:
        """The set that is named, or the only one."""
        sets, masks = _sets(self.capture), self.capture / "masks"
        if not sets:
            raise SplatsegError(
                f"{masks} holds no mask set yet",
                remedy=f"make one with splatseg masks {self.capture}",
            )
        if self.name is None and len(sets) > 1:
            raise SplatsegError(
                f"{masks} holds {len(sets)} mask sets ({', '.join(sets)})",
                remedy="choose one with --name",
            )
        if self.name not in (None, *sets):
            raise SplatsegError(
                f"{masks} has no mask set {self.name}",
                remedy=f"it has {', '.join(sets)}",
            )
        return self._folder(sets[0])

    def _folder(self, default_name: str) -> Path:
        return self.capture / "masks" / (default_name if self.name is None else self.name)

    @property
    def _takes_gpu(self) -> bool:
        return torch.cuda.is_available() and self.device != "cpu"

    def _photos_at_once(self, photos: int) -> int:
        return 1 if self._takes_gpu else min(torch.get_num_threads(), PHOTOS_AT_ONCE, photos)

    def _make(self, sources: Mapping[str, _Source], at_once: int, out: Output) -> dict[str, Any]:
        """Make the masks that are missing."""
        device = torch.device("cuda" if self._takes_gpu else "cpu")
        segmenter = load_segmenter(self.model, device=device)
        folder = self._folder(_file_safe(segmenter.name))
        provenance = {"model": segmenter.name} | asdict(self.config)
        files = provenance_files(folder)
        if self.restart:
            for file in files.values():
                file.path.unlink()
            files = {}
        there = finished(files, provenance, folder)
        wanted = {
            frame: source
            for frame, source in sources.items()
            if self.with_held_out or not source.is_test
        }
        run = _Run({frame: count for frame, count in there.items() if frame in wanted})
        held_out = len(sources) - len(wanted)
        out.say(
            f"masks of {len(wanted)} photos by {segmenter.name}"
            + (f"; {len(run.masks)} have theirs" if run.masks else "")
            + (f"; {held_out} held out get none without --all" if held_out else "")
        )
        missing = {frame: source for frame, source in wanted.items() if frame not in run.masks}
        try:
            _make_masks(segmenter, self.config, provenance, missing, folder, at_once, run, out)
        except KeyboardInterrupt as interrupt:
            out.say(
                f"stopped; {len(run.masks)} of {len(wanted)} photos have their masks in {folder}: "
                "run the same command to go on"
            )
            raise interrupt
        if not run.masks:
            raise SplatsegError(f"no photo of {self.capture} can be read: {run.reason}")
        return {"masks": str(folder), "model": segmenter.name} | _summary(run, folder, out)

    def _import(self, place: Path, sources: Mapping[str, _Source], out: Output) -> dict[str, Any]:
        """Write another tool's masks as a new set."""
        photos = {frame: source.photo for frame, source in sources.items()}
        found = read_masks(place, photos, self.format)
        folder = self._folder(found.format)
        if folder.exists():
            raise SplatsegError(
                f"{folder} is there already",
                remedy="name another set with --name, or remove it",
            )
        run = _Run({})
        with replacing_folder(folder) as new, out.progress("importing", len(found)) as line:
            for frame, segments in found:
                write_segments(new / f"{frame}.json", segments, photos[frame].file_name)
                run.masks[frame] = len(segments)
                run.made += 1
                line.update(run.made)
        without = len(sources) - len(run.masks)
        out.say(
            f"masks of {len(run.masks)} photos from {place}, of the format {found.format}"
            + (f"; {without} have none there" if without else "")
        )
        return {"masks": str(folder), "format": found.format} | _summary(run, folder, out)


@dataclass
class _Run:
    """What has come of the photos so far."""

    masks: dict[str, int]
    """How many each photo has."""
    made: int = 0
    seconds: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    reason: str = ""
    """Why the first of those could not be read."""


def _make_masks(
    segmenter: Segmenter,
    config: GenerationConfig,
    provenance: Provenance,
    sources: Mapping[str, _Source],
    folder: Path,
    at_once: int,
    run: _Run,
    out: Output,
) -> None:
    """Make the masks of every photo in `sources` that can be read, and keep count in `run`.

    Written here and not by the workers, so that an interruption finds no file half done.
    """
    began = time.monotonic()

    def make(source: _Source) -> Segments | SplatsegError:
        try:
            photo = source.read()
        except SplatsegError as error:
            return error
        return generate_masks(segmenter, photo, config)

    workers = ThreadPoolExecutor(at_once)
    try:
        with out.progress("masks", len(sources)) as line:
            waiting = {workers.submit(make, source): frame for frame, source in sources.items()}
            for done, future in enumerate(as_completed(waiting), start=1):
                frame, made = waiting[future], future.result()
                if isinstance(made, SplatsegError):
                    out.say(f"left out: {made}")
                    run.unreadable.append(frame)
                    run.reason = run.reason or str(made)
                    continue
                photo_name = sources[frame].photo.file_name
                write_segments(folder / f"{frame}.json", made, photo_name, provenance)
                run.masks[frame] = len(made)
                run.made += 1
                run.seconds = time.monotonic() - began
                line.update(done, f"{sum(run.masks.values())} masks")
    except KeyboardInterrupt:
        out.say("stopping, once the photos in work are done with")
        raise
    finally:
        workers.shutdown(cancel_futures=True)


def _summary(run: _Run, folder: Path, out: Output) -> dict[str, Any]:
    empty = [frame for frame, count in run.masks.items() if count == 0]
    a_photo = median_low(run.masks.values())
    seconds = run.seconds / run.made if run.seconds else None
    if empty:
        out.say(f"photos without any mask: {len(empty)} (the first is {empty[0]})")
    if run.unreadable:
        out.say(f"photos that cannot be read, and so have no file: {len(run.unreadable)}")
    speed = "" if seconds is None else f", {seconds:.1f} s a photo"
    what = f"{len(run.masks)} photos, {a_photo} masks in the median one{speed}"
    if run.made:
        out.wrote(folder, what)
    else:
        out.say(f"{folder} has them all  ({what})")
    return {
        "photos": len(run.masks),
        "made": run.made,
        "empty": empty,
        "unreadable": run.unreadable,
        "masks_per_photo": a_photo,
        "seconds_per_photo": seconds,
    }


def _draw(masks: MaskSet, sources: Mapping[str, _Source], capture: Path, out: Output) -> Path:
    """Draw the masks of every photo of the set that has some."""
    folder = capture / PREVIEW_FOLDER / masks.name
    with out.progress("drawing", len(masks.files)) as line:
        for done, frame in enumerate(masks.files, start=1):
            source = sources[frame]
            try:
                photo, segments = source.read(), masks.segments(frame, source.photo.size)
            except SplatsegError as error:
                out.say(f"not drawn: {error}")
                continue
            if segments is not None:
                _save_preview(folder / f"{frame}.jpg", photo, segments)
            line.update(done)
    out.wrote(folder, "the masks drawn on the photos: look here first")
    return folder


def _save_preview(path: Path, photo: RGB, segments: Segments) -> None:
    height, width = photo.shape[:2]
    shrink = min(1.0, PREVIEW_SIDE / max(height, width))
    painted = paint_segments(scaled(photo, max(1, round(width * shrink))), segments)
    with replacing_file(path, painted.nbytes) as new:
        Image.fromarray(painted).save(new, format="JPEG", quality=PREVIEW_QUALITY)


def _show_statistics(masks: MaskSet, sources: Mapping[str, _Source], out: Output) -> dict[str, Any]:
    """Of the photos that are to have masks: held-out ones only where they do."""
    sizes = {
        frame: source.photo.size
        for frame, source in sources.items()
        if not source.is_test or frame in masks.files
    }
    with out.progress("reading masks", len(sizes)) as line:
        found = mask_statistics(masks, sizes, line.update)
    out.table(found.rows())
    for flag in found.flags[:MAX_FLAGS]:
        out.say(flag.sentence)
    if len(found.flags) > MAX_FLAGS:
        out.say(f"… and {len(found.flags) - MAX_FLAGS} more; --json names them all")
    return found.to_json()


def _has_poses(root: Path) -> bool:
    has_model = any(is_colmap_model(root / folder) for folder in MODEL_FOLDERS)
    return has_model or (root / TRANSFORMS_FILE).is_file()


def _posed(root: Path) -> dict[str, _Source]:
    """The frames of a capture."""
    return {
        frame.name: _Source(
            root / frame.photo,
            Photo(
                frame.photo.removeprefix(f"{PHOTO_FOLDER}/"), (frame.lens.width, frame.lens.height)
            ),
            frame.is_test,
        )
        for frame in load_capture(root).frames
    }


def _unposed(root: Path, out: Output) -> dict[str, _Source]:
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
    sources: dict[str, _Source] = {}
    reasons = []
    for path in find_photos(root, root):
        name = path.relative_to(folder).as_posix()
        try:
            source = _Source(path, Photo(name, photo_size(path)), is_test=False)
        except SplatsegError as error:
            out.say(f"left out: {error}")
            reasons.append(str(error))
            continue
        twin = sources.setdefault(frame_name(name), source)
        if twin is not source:
            raise SplatsegError(
                f"{twin.path} and {path.name} would both have the masks of the frame "
                f"{frame_name(name)}",
                remedy="remove or rename one",
            )
    if not sources:
        reason = f": {reasons[0]}" if reasons else "; put the photos there"
        raise SplatsegError(f"{folder} has no photo that can be read{reason}")
    return sources


def _sets(root: Path) -> list[str]:
    masks = root / "masks"
    folders = [path for path in masks.iterdir() if path.is_dir()] if masks.is_dir() else []
    return sorted(folder.name for folder in folders if not folder.name.startswith("."))


def _file_safe(model: str) -> str:
    """A folder's name for a model: of facebook/sam-vit-base the last part."""
    return re.sub(r"[^\w.-]+", "-", model.rpartition("/")[2]).strip(".-") or "sam"
