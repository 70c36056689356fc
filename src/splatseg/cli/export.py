"""`splatseg export`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from jaxtyping import Bool, Int
from torch import Tensor

from splatseg.cli.export_views import FOLDERS, VIEW_FORMATS, ViewFlags, ViewFormat, write_views
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.export.boxes import boxes_around, boxes_of, write_boxes
from splatseg.export.ids import write_ids, write_ids_ply
from splatseg.export.mesh import NoSurface, object_mesh, write_mesh
from splatseg.export.splats import write_splats
from splatseg.files import read_json, replacing_folder
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import Level
from splatseg.scene import Scene, load_scene
from splatseg.segmentation.objects import Kind
from splatseg.segmentation.selection import SELECTED
from splatseg.workflows.selections import union_weights

FileFormatName = Literal[
    "ply", "compressed-ply", "spz", "sog", "splat", "ids", "ids-ply", "boxes", "mesh"
]
Format = FileFormatName | ViewFormat
OBJECTS = "objects.json"
OF_SCENES = {"scene.ply", "features.safetensors", "labels.safetensors", "manifest.json", OBJECTS}


@dataclass(frozen=True)
class Export:
    """Write a scene, or objects of it, for other tools: splats, boxes, a mesh, masks, a video."""

    scene: tyro.conf.Positional[Path]
    """Scene folder, as written by train."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File to write; a folder for masks, label-maps and sa1b, and with --per-object."""
    format: Format | None = None
    """By default, what the suffix of the file says: .npz are ids, .json boxes, .glb, .obj and .stl
    a mesh of an object, .mp4 a video. Splats are ply, compressed-ply, spz, sog and splat; ids-ply
    has objects in colors. masks, label-maps, coco and sa1b are 2D masks."""
    object: tyro.conf.UseAppendAction[list[int]] = field(default_factory=list)
    """Id of an object that cluster found; again for more. By default, the whole scene."""
    selection: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """A pick of this scene, by its name or its selection.safetensors; again for more."""
    per_object: bool = False
    """One file for each object, ID.SUFFIX, in a folder; it needs --format."""
    along: Annotated[ViewFlags, tyro.conf.arg(name="")] = field(default_factory=ViewFlags)
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""

    def run(self, out: Output) -> dict[str, Any]:
        """Write the file or the folder."""
        format = self._resolved_format()
        self._refuse_own_files()
        scene = load_scene(self.scene)
        if format in VIEW_FORMATS:
            return self._write_views(scene, format, out)
        if self.along != ViewFlags():
            raise SplatsegError(
                "--path, --views and --in-scene are for masks and videos, and the format is "
                f"{format}"
            )
        if self.per_object:
            return self._write_each(scene, format, out)
        if format == "mesh" and not self.object and not self.selection:
            raise SplatsegError(
                "a mesh is of an object",
                remedy="give --object ID or --selection PICK",
            )
        wanted = self._wanted(scene)
        FORMATS[format].write(self.output, wanted)
        size, count = self.output.stat().st_size, len(wanted.gaussians)
        out.say(f"{count} of {len(scene.gaussians)} Gaussians as {format}, {size / 1e6:.3g} MB")
        out.wrote(self.output, FORMATS[format].about)
        return {"export": str(self.output), "format": format, "gaussians": count, "bytes": size}

    def _write_views(self, scene: Scene, format: ViewFormat, out: Output) -> dict[str, Any]:
        if self.per_object:
            raise SplatsegError(f"--per-object is for splats and meshes, and --format is {format}")
        if format in FOLDERS:
            refuse_full_folder(self.output)
        things = (self.object, self.selection)
        return write_views(scene, self.scene, self.output, format, *things, self.along, out)

    def _wanted(self, scene: Scene) -> "ExportRequest":
        cameras = [frame.camera for frame in scene.frames if not frame.is_test]
        everything = ExportRequest(
            self.scene, scene.gaussians, scene.labels, scene.parts, bool(self.selection), cameras
        )
        if not self.object and not self.selection:
            return everything
        weights = union_weights(scene, self.scene, self.object, self.selection)
        return everything.only(weights >= SELECTED)

    def _write_each(self, scene: Scene, format: FileFormatName, out: Output) -> dict[str, Any]:
        """A file an object."""
        if format in ("ids", "ids-ply", "boxes"):
            raise SplatsegError(
                f"--per-object is for splats and meshes, and --format is {format}, one file for all"
            )
        if self.selection:
            raise SplatsegError(
                "--per-object writes the objects of splatseg cluster",
                remedy="give --object or nothing in place of --selection",
            )
        _refuse_foreign_folder(self.output)
        wanted = self._wanted(scene)
        labels = wanted.known_labels()
        rows = []
        with replacing_folder(self.output) as folder:
            for thing in torch.unique(labels[labels > 0]).tolist():
                file = f"{thing}{FORMATS[format].suffixes[0]}"
                one = wanted.only(labels == thing)
                try:
                    FORMATS[format].write(folder / file, one)
                except NoSurface as error:  # such as a wall: the others go on
                    out.say(f"{file} is left out: {error}")
                    continue
                size = (folder / file).stat().st_size
                rows.append(
                    {"id": thing, "file": file, "gaussians": len(one.gaussians), "bytes": size}
                )
            if not rows:
                raise SplatsegError(f"no object could be written as {format}")
        out.say(f"{len(rows)} objects as {format}")
        out.wrote(self.output, "a file for each object")
        return {"export": str(self.output), "format": format, "objects": rows}

    def _resolved_format(self) -> Format:
        """The format that was asked for, and that the suffix agrees with."""
        if self.per_object:
            if self.format is None:
                raise SplatsegError("--per-object needs --format, for the suffix of its files")
            return self.format
        if self.format in FOLDERS:
            return self.format
        suffixes = {suffix for kind in SUFFIXES.values() for suffix in kind}
        found = [suffix for suffix in suffixes if self.output.name.lower().endswith(suffix)]
        suffix = max(found, key=len, default=None)
        fitting: list[Format] = [name for name, kind in SUFFIXES.items() if suffix in kind]
        format = self.format or next(iter(fitting), None)
        if format is None:
            raise SplatsegError(
                f"{self.output} has no suffix that tells a format",
                expected=f"one of {', '.join(sorted(suffixes))}",
            )
        if format not in fitting:
            raise SplatsegError(
                f"{self.output} does not end with {' or '.join(SUFFIXES[format])}, as a "
                "file of the "
                f"format {format} does",
                remedy="rename it or leave --format out",
            )
        return format

    def _refuse_own_files(self) -> None:
        """Refuse to overwrite what the scene consists of."""
        if self.output.name in OF_SCENES and (self.output.parent / "manifest.json").exists():
            raise SplatsegError(
                f"{self.output} belongs to a scene",
                remedy="give -o another name, or another folder",
            )


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """What of a scene is to be written."""

    scene: Path
    gaussians: Gaussians
    labels: Int[Tensor, " n"] | None
    parts: Mapping[Level, Int[Tensor, " n"]]
    is_selection: bool
    """It has a pick in it: it is one thing, whichever objects it touches."""
    cameras: Sequence[Camera]
    """That the scene was trained on."""

    def only(self, chosen: Bool[Tensor, " n"]) -> "ExportRequest":
        """Those Gaussians.

        Raises:
            SplatsegError: there is none.
        """
        if not chosen.any():
            raise SplatsegError(
                "the selection holds no Gaussian",
                remedy="nothing is written",
            )
        return replace(
            self,
            gaussians=self.gaussians.select(chosen),
            labels=None if self.labels is None else self.labels[chosen],
            parts={level: ids[chosen] for level, ids in self.parts.items()},
        )

    def known_labels(self) -> Int[Tensor, " n"]:
        """The object of each Gaussian.

        Raises:
            SplatsegError: the scene has not been clustered.
        """
        if self.labels is None:
            raise SplatsegError(
                f"{self.scene} has no objects yet",
                remedy=f"run splatseg cluster {self.scene} first",
            )
        return self.labels

    def kinds(self) -> dict[int, Kind]:
        """Which objects are background, as far as the scene's object table tells."""
        path = self.scene / OBJECTS
        if not path.exists():
            return {}
        expected = "the object table that splatseg cluster wrote"
        content = read_json(path, expected)
        try:
            return {row["id"]: row["kind"] for row in content["objects"]}
        except (KeyError, TypeError) as error:
            raise SplatsegError(
                f"{path} is no object table ({error})",
                expected=expected,
                remedy=f"run splatseg cluster {self.scene} again",
            ) from error


def _write_splats(path: Path, wanted: ExportRequest) -> None:
    write_splats(path, wanted.gaussians)


def _write_ids(path: Path, wanted: ExportRequest) -> None:
    write_ids(path, wanted.known_labels(), wanted.parts)


def _write_ids_ply(path: Path, wanted: ExportRequest) -> None:
    write_ids_ply(path, wanted.gaussians, wanted.known_labels())


def _write_boxes(path: Path, wanted: ExportRequest) -> None:
    if wanted.is_selection:
        write_boxes(path, [boxes_around(wanted.gaussians)])
    else:
        write_boxes(path, boxes_of(wanted.gaussians, wanted.known_labels(), wanted.kinds()))


def _write_mesh(path: Path, wanted: ExportRequest) -> None:
    write_mesh(path, object_mesh(wanted.gaussians, wanted.cameras))


@dataclass(frozen=True)
class FileFormat:
    """A format: how its files may end, who writes them, and what they are for."""

    suffixes: tuple[str, ...]
    write: Callable[[Path, ExportRequest], None]
    about: str


FORMATS: dict[FileFormatName, FileFormat] = {
    "ply": FileFormat((".ply",), _write_splats, "for any 3DGS viewer, exact"),
    "compressed-ply": FileFormat(
        (".compressed.ply",), _write_splats, "for PlayCanvas and SuperSplat"
    ),
    "spz": FileFormat((".spz",), _write_splats, "small; y up, as SPZ has it"),
    "sog": FileFormat((".sog",), _write_splats, "small, for the web"),
    "splat": FileFormat((".splat",), _write_splats, "for older web viewers"),
    "ids": FileFormat((".npz",), _write_ids, "the object of each Gaussian, a row each"),
    "ids-ply": FileFormat((".ply",), _write_ids_ply, "objects in colors, for any 3DGS viewer"),
    "boxes": FileFormat((".json",), _write_boxes, "two boxes for each object"),
    "mesh": FileFormat((".glb", ".obj", ".stl", ".ply"), _write_mesh, "the object's surface"),
}
SUFFIXES: dict[Format, tuple[str, ...]] = {
    **{name: kind.suffixes for name, kind in FORMATS.items()},
    "coco": (".json",),
    "video": (".mp4",),
}


def _refuse_foreign_folder(folder: Path) -> None:
    """Refuse a folder, to be replaced as a whole, that holds more than objects exported before."""
    suffixes = {suffix for kind in FORMATS.values() for suffix in kind.suffixes}
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, dot, rest = path.name.partition(".")
        if not (stem.isdecimal() and dot + rest in suffixes and path.is_file()):
            raise SplatsegError(
                f"{folder} holds {path.name}, which is no exported object, and would be "
                "replaced as a "
                "whole",
                remedy="give -o a new folder",
            )


def refuse_full_folder(folder: Path) -> None:
    """Refuse a folder with something in it: what is written takes the place of the whole."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if found:
        raise SplatsegError(
            f"{folder} holds {found[0].name}, and masks take the place of the whole folder",
            remedy="give -o a new one",
        )
