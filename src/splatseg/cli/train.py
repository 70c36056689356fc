"""`splatseg train`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import tyro

from splatseg.cli.device import Device
from splatseg.cli.output import Output
from splatseg.errors import SplatsegError
from splatseg.training.config import PRESETS, Preset, TrainConfig
from splatseg.workflows.config import DEFAULT_PRESET


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
        from splatseg.workflows.training import train

        with out.progress_bar() as progress:
            result = train(
                self.capture,
                self.output,
                config=self.config,
                masks=self.masks,
                downscale=self.downscale,
                poses=self.poses,
                device=self.device,
                restart=self.restart,
                progress=progress,
            )
        if not result.was_trained:
            out.say(
                f"{result.scene} is already trained with these settings; --restart trains it again"
            )
        out.wrote(result.scene, f"{result.gaussians} Gaussians, {result.seconds:.0f} s")
        if result.learns_features:
            out.next(f"splatseg cluster {result.scene}")
        out.next(f"splatseg render {result.scene}")
        return result.to_json()


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
