"""`splatseg train`."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.capture import Capture, load_capture
from splatseg.cli.device import Device
from splatseg.cli.lift import LIFTING, report_on
from splatseg.cli.output import Output, ProgressLine
from splatseg.errors import SplatsegError
from splatseg.lifting import Report
from splatseg.masks import MaskSet, open_masks
from splatseg.scene import load_scene
from splatseg.training import PRESETS, Preset, Progress, TrainConfig, train
from splatseg.training.state import CHECKPOINT, check_identity, run_identity
from splatseg.workflows.device import choose_device

DEFAULT_PRESET: Preset = "plus"
DERIVED = (
    "objects.json",
    "objects",
    "objects.png",
    "clusters.png",
    "picks",
    "renders",
    "evaluation",
)


@dataclass(frozen=True)
class Train:
    """Train a scene from a capture: appearance, and segmentation features from 2D masks.

    Run again after an interruption, it goes on where it was.
    """

    capture: tyro.conf.Positional[Path]
    """Folder with images/ and sparse/ (COLMAP) or transforms.json (nerfstudio)."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Scene folder to write; CAPTURE/splatseg by default."""
    preset: Preset = DEFAULT_PRESET
    """plus: ours, features from the consensus of all views. paper: the method as published. rgb:
    appearance only, needs no masks."""
    masks: str | None = None
    """Name of the mask set, a folder in CAPTURE/masks/; may be omitted if there is only one."""
    downscale: int | None = None
    """Train on photos this many times smaller; by default enough to bring them to 1000 pixels."""
    poses: Path | None = None
    """Poses to use instead of the capture's own: a COLMAP model folder or a transforms.json."""
    device: Device = "auto"
    threads: int | None = None
    """CPU threads; all by default. On the CPU, results repeat bit for bit for the same number."""
    restart: bool = False
    """Begin again: discard an earlier run in the output folder, with its picks and renders."""
    json: bool = False
    """Print one JSON object on stdout, and nothing else there."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: PRESETS[DEFAULT_PRESET]
    )

    def run(self, out: Output) -> dict[str, Any]:
        """Train, save, and say what was written."""
        folder = self.output or self.capture / "splatseg"
        device = choose_device(self.device)
        capture = load_capture(self.capture, downscale=self.downscale, poses=self.poses)
        masks = self._open_masks(capture)
        if self.restart:
            _discard_run(folder)
        elif (folder / "manifest.json").exists() and not (folder / CHECKPOINT).exists():
            return self._already_trained(folder, capture, masks, out)
        size = capture.frames[0].camera
        out.say(
            f"{len(capture.train)} training photos at {size.width}x{size.height}, "
            f"{len(capture.test)} held out, {len(capture.points)} points"
            + (f", masks {masks.name}" if masks else "")
        )
        try:
            with out.progress("training", self.config.iterations) as line:
                scene = train(
                    *(capture, masks, self.config, folder),
                    report=lambda progress: _show(line, progress),
                    device=device,
                    report_lifting=_lifting_follows(line),
                )
        except KeyboardInterrupt as interrupt:
            out.say(f"stopped; progress is saved in {folder}: run the same command to go on")
            raise interrupt
        return self._summary(folder, scene.metrics["training"], out)

    def _open_masks(self, capture: Capture) -> MaskSet | None:
        if not self.config.learns_features:
            return None
        return open_masks(capture.root, self.masks, [frame.name for frame in capture.frames])

    def _already_trained(
        self, folder: Path, capture: Capture, masks: MaskSet | None, out: Output
    ) -> dict[str, Any]:
        scene = load_scene(folder)
        name = masks.name if masks else None
        identity = run_identity(self.config, capture, name)
        check_identity(scene.config, identity, f"{folder} holds a scene trained")
        out.say(f"{folder} is already trained with these settings; --restart trains it again")
        return self._summary(folder, scene.metrics["training"], out)

    def _summary(self, folder: Path, training: dict[str, Any], out: Output) -> dict[str, Any]:
        out.wrote(folder, f"{training['gaussians']} Gaussians, {training['seconds']:.0f} s")
        if self.config.learns_features:
            out.next(f"splatseg cluster {folder}")
        out.next(f"splatseg render {folder}")
        return {"scene": str(folder)} | training


def _discard_run(folder: Path) -> None:
    """Delete the checkpoint, and what other commands derived from the scene to be replaced.

    The scene itself stays until the new one takes its place.
    """
    for name in (CHECKPOINT, *DERIVED):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _show(line: Any, progress: Progress) -> None:
    line.update(
        progress.iteration,
        f"loss {progress.loss:.4f}  {progress.gaussians} Gaussians  {progress.speed:.1f} it/s",
    )


def _lifting_follows(line: ProgressLine) -> Report:
    """Hands the training's line over to lifting when that begins."""
    lifting = report_on(line)
    began = False

    def report(stage: str, done: int, total: int) -> None:
        nonlocal began
        if not began:
            line.restart("lifting", LIFTING)
            began = True
        lifting(stage, done, total)

    return report


def train_verb(arguments: Sequence[str]) -> type[Train]:
    """The verb with the defaults of the preset that the arguments name."""
    return train_with_defaults(preset_config(list(arguments)))


def train_with_defaults(preset: TrainConfig) -> type[Train]:
    """The verb with a preset's values as the defaults of its flags."""

    @dataclass(frozen=True)
    class PresetTrain(Train):
        __doc__ = Train.__doc__
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = preset

    return PresetTrain


def preset_config(arguments: list[str]) -> TrainConfig:
    """The configuration that `--preset` in the arguments names: the defaults of all other flags."""
    name: Any = DEFAULT_PRESET
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument == "--preset":
            name = following
        elif argument.startswith("--preset="):
            name = argument.removeprefix("--preset=")
    if name not in PRESETS:
        raise SplatsegError(
            f"there is no preset {name}",
            remedy=f"choose from {', '.join(PRESETS)}",
        )
    return PRESETS[name]
