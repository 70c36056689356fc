"""Ground truth by prompt: a folder of true masks a view, as two published data sets have it.

    test_mask/<view>/<prompt>.png       LERF-Mask (of Gaussian Grouping, arXiv:2312.00732)
    segmentations/classes.txt           3D-OVS: the names of the classes, one a line
    segmentations/<view>/<class>.png

A view's folder is named like a frame of the scene, or like a frame's last part (`0001` for
`cam0/0001`). LERF-Mask numbers its views instead: where all names are whole numbers and none is a
frame's, folder k is the k-th of the scene's test frames, counted from 0. A view may have no masks.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splatseg.capture import Frame
from splatseg.errors import SplatsegError

TRUTH_LEVEL = 128  # brighter is inside, as LERF-Mask's authors binarize
CLASSES_FILE = "classes.txt"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromptTruth:
    """Which views show which prompt."""

    prompts: tuple[str, ...]
    views: Mapping[str, Mapping[str, Path]]
    """By frame, in the scene's order, the file of each true mask; the first is the reference."""

    @property
    def reference(self) -> str:
        """The frame in which prompts are grounded."""
        return next(iter(self.views))


def open_lerf_mask(folder: Path, frames: Sequence[Frame]) -> PromptTruth:
    """The true masks in `folder`, laid out like LERF-Mask's `test_mask/`."""
    layout = "<view>/<prompt>.png"
    views = _open_views(folder, frames, layout, may_be_numbered=True)
    prompts = {prompt for files in views.values() for prompt in files}
    return PromptTruth(tuple(sorted(prompts)), views)


def open_3d_ovs(folder: Path, frames: Sequence[Frame]) -> PromptTruth:
    """The true masks in `folder`, laid out like 3D-OVS's `segmentations/`."""
    layout = f"{CLASSES_FILE} and <frame>/<class>.png"
    views = _open_views(folder, frames, layout, may_be_numbered=False)
    classes = _read_classes(folder / CLASSES_FILE)
    found = {name for files in views.values() for name in files}
    unnamed, unseen = found.difference(classes), set(classes) - found
    if unseen == set(classes):
        raise SplatsegError(
            f"{folder} has a mask of none of the classes in {CLASSES_FILE}",
            expected=f"files such as <frame>/{classes[0]}.png",
        )
    if unnamed:
        log.warning("left out, for %s does not name it: %s", CLASSES_FILE, _listed(unnamed))
    if unseen:
        log.warning("left out, for no view has a mask of it: %s", _listed(unseen))
    classes = [name for name in classes if name in found]
    in_views = {
        frame: {name: files[name] for name in classes if name in files}
        for frame, files in views.items()
    }
    return PromptTruth(tuple(classes), in_views)


def _open_views(
    root: Path, frames: Sequence[Frame], layout: str, may_be_numbered: bool
) -> dict[str, Mapping[str, Path]]:
    """The mask files of each view by the names of their prompts, in the scene's order of frames."""
    if not root.is_dir():
        raise SplatsegError(
            f"there is no folder {root}",
            remedy=f"this protocol reads {layout} there, or in the folder given with `truth`",
        )
    folders = {path.relative_to(root).as_posix(): path for path in _view_folders(root)}
    files = {name: sorted(path.glob("*.png")) for name, path in folders.items()}
    if not any(files.values()):
        raise SplatsegError(
            f"{root} holds no true masks",
            expected=f"{layout}",
        )
    folder_of = _folders_by_frame(root, sorted(folders), frames, may_be_numbered)
    return {
        frame.name: {path.stem: path for path in files[folder_of[frame.name]]}
        for frame in frames
        if frame.name in folder_of
    }


def _view_folders(root: Path) -> list[Path]:
    """The folders below `root` that hold masks, and the empty ones."""
    folders = [path for path in root.rglob("*") if path.is_dir()]
    return [
        path
        for path in folders
        if (any(path.glob("*.png")) or not any(path.iterdir()))
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def _folders_by_frame(
    root: Path, names: list[str], frames: Sequence[Frame], may_be_numbered: bool
) -> dict[str, str]:
    """Frame to the view's folder."""
    matches = {name: _frames_like(name, frames) for name in names}
    numbers = may_be_numbered and all(name.isdecimal() for name in names)
    if numbers and not any(matches.values()):
        return _numbered(root, names, frames)
    folder_of: dict[str, str] = {}
    for name, found in matches.items():
        if not found:
            raise SplatsegError(
                f"{root / name} is named like no frame of the scene",
                expected=f"a frame such as {frames[0].name}",
            )
        if len(found) > 1 or found[0] in folder_of:
            raise SplatsegError(
                f"{root / name} is one of several folders or frames that are called "
                f"{found[0].rpartition('/')[2]}",
                remedy="give each folder its frame's whole name",
            )
        folder_of[found[0]] = name
    return folder_of


def _frames_like(name: str, frames: Sequence[Frame]) -> list[str]:
    """The frame of that name, else those whose last part it is."""
    exact = [frame.name for frame in frames if frame.name == name]
    return exact or [frame.name for frame in frames if frame.name.rpartition("/")[2] == name]


def _numbered(root: Path, names: list[str], frames: Sequence[Frame]) -> dict[str, str]:
    """Test frame to the folder of its number. Each frame is numbered, so the highest tells."""
    test = [frame.name for frame in frames if frame.is_test]
    highest = max(map(int, names))
    if highest != len(test) - 1:
        raise SplatsegError(
            f"{root} numbers its views up to {highest}, but the scene holds out {len(test)} "
            "frames, which the numbers count from 0",
            remedy=(
                "train with the data set's own split in split.json, name the folders after "
                "frames, or add an empty folder for a last view without masks"
            ),
        )
    return {test[int(name)]: name for name in names}


def _read_classes(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SplatsegError(
            f"{path} cannot be read ({error})",
            expected="the names of the classes, one a line",
        ) from error
    classes = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not classes:
        raise SplatsegError(
            f"{path} names no class",
            expected="one a line",
        )
    return classes


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
