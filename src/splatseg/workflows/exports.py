"""Export a scene, or objects of it, for other tools: splats, ids, boxes, meshes, masks, videos."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from splatseg.errors import SplatsegError
from splatseg.export.config import ExportFormat, Viewpoints
from splatseg.export.formats import (
    FORMATS,
    GaussianFormat,
    MaskFormat,
    VideoFormat,
    resolve_format,
)
from splatseg.export.masks import ViewMasks, object_masks, path_masks, selection_masks
from splatseg.export.mesh import NoSurface
from splatseg.export.request import OBJECTS, ExportRequest
from splatseg.export.video import Picture, highlighted_frames, object_frames, scene_frames
from splatseg.export.viewpoints import path_cameras
from splatseg.files import replacing_folder
from splatseg.progress import SILENT, Progress
from splatseg.scene import MANIFEST, SCENE_FILES, Scene, load_scene
from splatseg.segmentation import Picker, load_selection
from splatseg.segmentation.selection import SELECTED
from splatseg.workflows.selections import (
    SELECTION,
    find_selection,
    known_objects,
    object_weights,
    union_weights,
)

OF_SCENES = SCENE_FILES | {OBJECTS}
"""What a scene consists of: no export takes the place of these."""


@dataclass(frozen=True)
class ExportedObject:
    """An object in a file of its own."""

    id: int
    file: str
    """Its name in the folder."""
    gaussians: int
    bytes: int


@dataclass(frozen=True)
class ExportResult:
    """What was written. Fields that do not apply to the format are None."""

    output: Path
    format: ExportFormat
    purpose: str
    """Half a sentence: what it is for, or what is in it."""
    gaussians: int | None = None
    """How many are in the file."""
    bytes: int | None = None
    objects: tuple[ExportedObject, ...] | None = None
    """With a file for each."""
    views: int | None = None
    instances: Mapping[int, str] | None = None
    """What the masks are of: the names of their ids."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        facts = {
            "gaussians": self.gaussians,
            "bytes": self.bytes,
            "objects": self.objects and [asdict(row) for row in self.objects],
            "views": self.views,
            "things": self.instances
            and [{"id": number, "name": name} for number, name in self.instances.items()],
        }
        known = {name: value for name, value in facts.items() if value is not None}
        return {"export": str(self.output), "format": self.format} | known


@dataclass(frozen=True, eq=False)
class _Source:
    """A scene, and what of it was asked for."""

    scene: Scene
    folder: Path
    objects: Sequence[int]
    selections: Sequence[str]

    @property
    def is_whole(self) -> bool:
        return not self.objects and not self.selections

    def request(self) -> ExportRequest:
        everything = ExportRequest.of_scene(self.scene, self.folder)
        if self.is_whole:
            return everything
        weights = union_weights(self.scene, self.folder, self.objects, self.selections)
        chosen = everything.only(weights >= SELECTED)
        return replace(chosen, is_selection=bool(self.selections))


def export(
    scene: Path,
    output: Path,
    *,
    format: ExportFormat | None = None,
    objects: Sequence[int] = (),
    selections: Sequence[str] = (),
    per_object: bool = False,
    viewpoints: Viewpoints | None = None,
    progress: Progress = SILENT,
) -> ExportResult:
    """Write a scene, or objects of it, as a file or a folder of another tool.

    Files and folders are written whole or not at all, also on Ctrl-C.

    Args:
        scene: A scene folder.
        output: The file; the folder for masks, label maps and SA-1B, and with `per_object`.
        format: By default what the suffix of `output` tells.
        objects: Ids of objects; by default the whole scene, or masks of all objects.
        selections: Picks of the scene: their names, folders or files.
        per_object: Write a file for each object, ID.SUFFIX, into a folder; needs `format`. A folder
            of objects exported before is replaced.
        viewpoints: Which views masks and videos are of; by default the photos' own for masks, and a
            turntable for videos.
        progress: Told of "masks" and "video", in views, of "fusing depth" for a mesh, and of
            "objects". Notes name the objects that are left out, and why.

    Raises:
        SplatsegError: no format or one that does not fit, nothing to write, settings that do not
            go together, or an `output` that belongs to a scene or holds other files.
    """
    chosen = resolve_format(output, format) if not per_object else _per_object_format(format)
    _refuse_own_files(output)
    source = _Source(load_scene(scene), scene, objects, selections)
    kind = FORMATS[chosen]
    if isinstance(kind, GaussianFormat):
        if viewpoints not in (None, Viewpoints()):
            raise SplatsegError(
                "`path`, `views` and `in_scene` are for masks and videos, and the format is "
                f"{chosen}"
            )
        if per_object:
            return _write_each(source, output, chosen, kind, progress)
        return _write_gaussians(source, output, chosen, kind, progress)
    if per_object:
        raise SplatsegError(f"`per_object` is for splats and meshes, and `format` is {chosen}")
    if isinstance(kind, MaskFormat):
        return _write_masks(source, output, chosen, kind, viewpoints or Viewpoints(), progress)
    assert isinstance(kind, VideoFormat)
    return _write_video(source, output, chosen, kind, viewpoints or Viewpoints(), progress)


def _per_object_format(format: ExportFormat | None) -> ExportFormat:
    if format is None:
        raise SplatsegError("`per_object` needs `format`, for the suffix of its files")
    return format


def _write_gaussians(
    source: _Source, output: Path, format: ExportFormat, kind: GaussianFormat, progress: Progress
) -> ExportResult:
    if kind.needs_object and source.is_whole:
        raise SplatsegError(
            f"a {format} is of an object",
            remedy="give its `object` id or the `selection` of a pick",
        )
    request = source.request()
    kind.write(output, request, progress)
    count, size = len(request.gaussians), output.stat().st_size
    return ExportResult(output, format, kind.purpose, gaussians=count, bytes=size)


def _write_each(
    source: _Source, output: Path, format: ExportFormat, kind: GaussianFormat, progress: Progress
) -> ExportResult:
    """Write a file for each object."""
    if not kind.per_object:
        raise SplatsegError(
            f"`per_object` is for splats and meshes, and `format` is {format}, one file for all"
        )
    if source.selections:
        raise SplatsegError(
            "`per_object` writes the objects of splatseg cluster",
            remedy="give `object` or nothing in place of `selection`",
        )
    _refuse_foreign_folder(output)
    request = source.request()
    labels = request.known_labels()
    ids = torch.unique(labels[labels > 0]).tolist()
    rows = []
    with replacing_folder(output) as folder:
        for done, number in enumerate(ids, start=1):
            one, path = request.only(labels == number), folder / f"{number}{kind.suffixes[0]}"
            try:
                kind.write(path, one, SILENT)
            except NoSurface as error:  # such as a wall: the others go on
                progress.note(f"{path.name} is left out: {error}")
            else:
                size = path.stat().st_size
                rows.append(ExportedObject(number, path.name, len(one.gaussians), size))
            progress.update("objects", done, len(ids))
        if not rows:
            raise SplatsegError(f"no object could be written as {format}")
    return ExportResult(output, format, "a file for each object", objects=tuple(rows))


def _write_masks(
    source: _Source,
    output: Path,
    format: ExportFormat,
    kind: MaskFormat,
    viewpoints: Viewpoints,
    progress: Progress,
) -> ExportResult:
    if not kind.suffixes:
        _refuse_full_folder(output)
    if viewpoints.in_scene:
        raise SplatsegError(f"`in_scene` is for videos, and the format is {format}")
    if source.objects and source.selections:
        raise SplatsegError(
            "masks are of objects or of picks, and both are given",
            remedy="give `object` or `selection`",
        )
    of = _masks_of_picks if source.selections else _masks_of_objects
    names, views = of(source, viewpoints, progress)
    kind.write(output, views, names)
    in_photos = viewpoints.path in (None, "photos")
    count = len(source.scene.frames) if in_photos else viewpoints.views
    return ExportResult(output, format, kind.purpose, views=count, instances=names)


def _masks_of_picks(
    source: _Source, viewpoints: Viewpoints, progress: Progress
) -> tuple[dict[int, str], Iterator[ViewMasks]]:
    """The picks' names by number, from 1, and their masks view by view."""
    scene = source.scene
    files = [find_selection(name, source.folder) for name in source.selections]
    picks = [load_selection(file, scene) for file in files]
    names = {number: _pick_name(file) for number, file in enumerate(files, start=1)}
    if viewpoints.path in (None, "photos"):
        return names, selection_masks(Picker(scene), picks, progress=progress)
    weights = {number: pick.weights for number, pick in enumerate(picks, start=1)}
    around = torch.stack(list(weights.values())).amax(dim=0)
    cameras = path_cameras(scene, viewpoints, around)
    return names, path_masks(scene.gaussians, weights, cameras, progress)


def _masks_of_objects(
    source: _Source, viewpoints: Viewpoints, progress: Progress
) -> tuple[dict[int, str], Iterator[ViewMasks]]:
    """The objects' names by id, and their masks view by view."""
    scene = source.scene
    ids = source.objects or known_objects(scene, source.folder)
    names = {number: f"object {number}" for number in ids}
    weights = {number: object_weights(scene, source.folder, number) for number in ids}
    if viewpoints.path in (None, "photos"):
        assert scene.labels is not None
        wanted = torch.isin(scene.labels, scene.labels.new_tensor(list(ids)))
        labels = torch.where(wanted, scene.labels, 0)
        return names, object_masks(scene.gaussians, labels, scene.frames, progress)
    around = torch.stack(list(weights.values())).amax(dim=0) if source.objects else None
    cameras = path_cameras(scene, viewpoints, around)
    return names, path_masks(scene.gaussians, weights, cameras, progress)


def _pick_name(file: Path) -> str:
    """The name of a pick: that of its folder, as picking writes it."""
    return file.resolve().parent.name if file.name == SELECTION else file.stem


def _write_video(
    source: _Source,
    output: Path,
    format: ExportFormat,
    kind: VideoFormat,
    viewpoints: Viewpoints,
    progress: Progress,
) -> ExportResult:
    if viewpoints.path == "photos":
        raise SplatsegError(
            "a video is of a turntable or a flight",
            remedy="the photos are not in order",
        )
    if viewpoints.in_scene and source.is_whole:
        raise SplatsegError("`in_scene` needs an object", remedy="give `object` or `selection`")
    count = kind.write(output, _video_frames(source, viewpoints, progress))
    return ExportResult(output, format, kind.purpose, views=count)


def _video_frames(source: _Source, viewpoints: Viewpoints, progress: Progress) -> Iterator[Picture]:
    scene, gaussians = source.scene, source.scene.gaussians
    if source.is_whole:
        return scene_frames(gaussians, path_cameras(scene, viewpoints, None), progress)
    weights = union_weights(scene, source.folder, source.objects, source.selections)
    cameras = path_cameras(scene, viewpoints, weights)
    if viewpoints.in_scene:
        return highlighted_frames(gaussians, weights, cameras, progress)
    return object_frames(gaussians, weights, cameras, progress=progress)


def _refuse_own_files(output: Path) -> None:
    if output.name in OF_SCENES and (output.parent / MANIFEST).exists():
        raise SplatsegError(
            f"{output} belongs to a scene",
            remedy="give `output` another name, or another folder",
        )


def _refuse_foreign_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but objects exported before."""
    suffixes = {suffix for kind in FORMATS.values() for suffix in kind.suffixes}
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, dot, rest = path.name.partition(".")
        if not (stem.isdecimal() and dot + rest in suffixes and path.is_file()):
            raise SplatsegError(
                f"{folder} holds {path.name}, which is no exported object, and the whole folder "
                "would be replaced",
                remedy="give a new folder as `output`",
            )


def _refuse_full_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds anything."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if found:
        raise SplatsegError(
            f"{folder} holds {found[0].name}, and masks replace the whole folder",
            remedy="give a new one as `output`",
        )
