"""Stand-ins for the stages of a run, which leave behind what the stages leave."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from splatseg.masks import Segments, write_segments
from splatseg.progress import Canceled
from splatseg.workflows.clustering import ClusterResult
from splatseg.workflows.masks import MasksResult
from splatseg.workflows.pipeline import RunResult, run
from splatseg.workflows.reconstruction import ReconstructionResult
from splatseg.workflows.rendering import RenderResult
from splatseg.workflows.training import TrainResult

from . import two_squares as scene
from .two_squares import square


class Stages:
    """Keeps what the stages are given, and cancels in one of them."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.stop_at: str | None = None
        self.is_trained = self.has_labels = False

    def called(self, stage: str, /, **arguments: Any) -> None:
        self.calls[stage] = arguments
        if stage == self.stop_at:
            raise Canceled

    def check_model(self, model: str | None, device: str) -> None:
        self.called("check_model", model=model)

    def reconstruct(self, source: Path, capture: Path, **arguments: Any) -> Any:
        self.called("reconstruct", source=source, capture=capture)
        scene.write_photos(capture)
        scene.add_poses(capture)
        return result(ReconstructionResult)

    def make_masks(self, capture: Path, *, model: Any, name: str | None, **arguments: Any) -> Any:
        self.called("make_masks", model=model, name=name)
        name = name or model or "default"
        for frame in ("a", "more/c"):
            write_mask(capture, name, frame)
        made = result(MasksResult, model=model)
        made.name = name
        return made

    def train(self, capture: Path, folder: Path, *, restart: bool, **arguments: Any) -> Any:
        self.called("train", capture=capture, folder=folder, **arguments)
        was_trained = restart or not self.is_trained
        self.is_trained, self.has_labels = True, self.has_labels and not was_trained
        learns = arguments["config"].learns_features
        return result(TrainResult, was_trained=was_trained, learns_features=learns)

    def cluster(self, folder: Path, **arguments: Any) -> Any:
        self.called("cluster", folder=folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clusters.png").touch()
        self.has_labels = True
        return result(ClusterResult)

    def render_views(self, folder: Path, **arguments: Any) -> Any:
        self.called("render_views", folder=folder)
        (folder / "renders").mkdir(parents=True, exist_ok=True)
        (folder / "renders" / "contact_sheet.png").touch()
        return result(RenderResult)

    def load_scene(self, folder: Path) -> Any:
        frame = SimpleNamespace(name="a", lens=SimpleNamespace(width=128, height=96))
        return SimpleNamespace(labels=[] if self.has_labels else None, train=[frame])

    def run(self, *arguments: Any, **options: Any) -> tuple[RunResult, list[str]]:
        """The result, and the stages that it took, in order."""
        self.calls = {}
        return run(*arguments, **options), list(self.calls)


def result(kind: type, **values: Any) -> Any:
    """What a stage returns, with these values alone."""
    stand_in = Mock(spec=kind, **values)
    stand_in.to_json.return_value = values
    return stand_in


def write_mask(capture: Path, name: str, frame: str, made_here: bool = True) -> None:
    segments = Segments.from_label_map(square("red", 0).astype(int))
    provenance = {"model": "sam"} if made_here else None
    write_segments(capture / "masks" / name / f"{frame}.json", segments, "a.png", provenance)
