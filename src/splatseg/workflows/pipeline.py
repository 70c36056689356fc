"""Everything in a row: poses, masks, training, objects and pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splatseg.capture.frame import PHOTO_FOLDER
from splatseg.errors import SplatsegError
from splatseg.progress import SILENT, Progress
from splatseg.scene import load_scene
from splatseg.sfm.gather import default_capture
from splatseg.training.config import PRESETS, Preset
from splatseg.workflows.clustering import ClusterResult, cluster
from splatseg.workflows.config import DEFAULT_PRESET, SCENE_FOLDER, Device
from splatseg.workflows.device import choose_device
from splatseg.workflows.masks import (
    MasksResult,
    check_model,
    find_mask_set,
    is_finished,
    list_mask_sets,
    make_masks,
)
from splatseg.workflows.reconstruction import ReconstructionResult, find_pose_files, reconstruct
from splatseg.workflows.rendering import RenderResult, render_views
from splatseg.workflows.training import TrainResult, train

LAST_CLUSTERED = "clusters.png"  # what clustering writes last into a scene
LAST_RENDERED = Path("renders", "contact_sheet.png")  # likewise rendering


@dataclass(frozen=True)
class RunResult:
    """What each stage gave; None for a stage that had nothing to do."""

    capture: Path
    scene: Path
    mask_set: str | None
    """Name of the mask set that was trained with; None where no features are learned."""
    poses: ReconstructionResult | None
    masks: MasksResult | None
    training: TrainResult
    clusters: ClusterResult | None
    renders: RenderResult | None
    first_click: tuple[str, int, int]
    """A training frame, and the x and y of the pixel in the middle of its photo."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict: `capture`, `scene`, `mask_set`, and what each stage's verb gives."""
        stages = {
            "poses": self.poses,
            "masks": self.masks,
            "training": self.training,
            "clusters": self.clusters,
            "renders": self.renders,
        }
        return {
            "capture": str(self.capture),
            "scene": str(self.scene),
            "mask_set": self.mask_set,
            **{name: None if stage is None else stage.to_json() for name, stage in stages.items()},
        }


def run(
    source: Path,
    output: Path | None = None,
    *,
    masks: str | None = None,
    model: str | None = None,
    preset: Preset = DEFAULT_PRESET,
    iterations: int | None = None,
    device: Device = "auto",
    threads: int | None = None,
    restart: bool = False,
    progress: Progress = SILENT,
) -> RunResult:
    """Make a clustered scene of photos, a video, or a capture, with defaults for everything.

    Stages that are finished are passed over, and one that was interrupted goes on, so the same
    call can be repeated until it returns. What would stop a later stage, such as a segmentation
    model that is missing, is refused before the first.

    Args:
        source: a folder of photos or a video file, whose poses are found; or a capture: a folder
            with `images/`, or with poses. A capture is worked on in place, and poses that it has
            are used as they are.
        output: for photos and videos the capture folder to write (None: SOURCE-capture beside the
            source), with `images/`, `sparse/`, `masks/`, and the scene in `splatseg/`. For a
            capture the scene folder (None: `splatseg/` in the capture).
        masks: name of the mask set to train with. None: the only one, or the model's.
        model: the segmentation model, as in `make_masks`; its masks are made even if the capture
            has others. None: masks are only made where the capture has none.
        preset: how to train. "rgb" trains appearance only: no masks, no objects.
        iterations: of training; None: the preset's.
        device: where to compute.
        threads: CPU threads for finding poses; None: all.
        restart: train again and find the objects again. Poses and masks are kept.
        progress: the stages of `reconstruct`, `make_masks`, `train`, `cluster` and
            `render_views`, in this order.

    Returns:
        Where the scene is, and what each stage gave.

    Raises:
        SplatsegError: the source or the model cannot be used, a mask set must be named, or the
            scene was trained with other settings and `restart` is not asked for.
        KeyboardInterrupt: stopped; what is finished is kept.
    """
    capture, scene = _folders(source, output)
    config = PRESETS[preset]
    if iterations is not None:
        config = replace(config, iterations=iterations)
    choose_device(device)
    if config.learns_features and _needs_model(capture, masks, model):
        check_model(model, device)
    poses = None
    if capture != source or not find_pose_files(capture):
        poses = reconstruct(source, capture, threads=threads, progress=progress)
    mask_set, made = None, None
    if config.learns_features:
        mask_set, made = _ensure_masks(capture, masks, model, device, progress)
    training = train(
        capture,
        scene,
        config=config,
        masks=mask_set,
        device=device,
        restart=restart,
        progress=progress,
    )
    clusters = renders = None
    if training.learns_features and not _has_objects(scene):
        clusters = cluster(scene, device=device, progress=progress)
    if training.was_trained or clusters is not None or not (scene / LAST_RENDERED).is_file():
        renders = render_views(scene, device=device, progress=progress)
    return RunResult(
        capture=capture,
        scene=scene,
        mask_set=mask_set,
        poses=poses,
        masks=made,
        training=training,
        clusters=clusters,
        renders=renders,
        first_click=_first_click(scene),
    )


def _folders(source: Path, output: Path | None) -> tuple[Path, Path]:
    """The capture and the scene."""
    if not source.exists():
        raise SplatsegError(
            f"{source} does not exist",
            expected="a folder of photos, a video, or a capture",
        )
    if (source / PHOTO_FOLDER).is_dir() or find_pose_files(source):
        return source, output or source / SCENE_FOLDER
    capture = output or default_capture(source)
    return capture, capture / SCENE_FOLDER


def _needs_model(capture: Path, masks: str | None, model: str | None) -> bool:
    """Whether masks are still to be made.

    Raises:
        SplatsegError: it is not clear which set to use. A mistyped name starts no hour's work.
    """
    if model is not None or not list_mask_sets(capture):
        return True
    return not is_finished(capture, _named_set(capture, masks))


def _ensure_masks(
    capture: Path, masks: str | None, model: str | None, device: Device, progress: Progress
) -> tuple[str, MasksResult | None]:
    """The name of the set to train with, and what was made of it now."""
    name = masks
    if model is None and list_mask_sets(capture):
        name = _named_set(capture, masks)
        if is_finished(capture, name):
            return name, None
    made = make_masks(capture, model=model, name=name, device=device, progress=progress)
    return made.name, made


def _named_set(capture: Path, masks: str | None) -> str:
    return find_mask_set(capture, masks, parameter="masks").name


def _has_objects(scene: Path) -> bool:
    """Training discards the labels of the scene that it replaces."""
    return load_scene(scene).labels is not None and (scene / LAST_CLUSTERED).is_file()


def _first_click(scene: Path) -> tuple[str, int, int]:
    frame = load_scene(scene).train[0]
    return frame.name, frame.lens.width // 2, frame.lens.height // 2
