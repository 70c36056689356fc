"""Finding all objects of a scene folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatseg.progress import Canceled
from splatseg.scene import load_scene, save_labels, save_scene
from splatseg.segmentation.connected_components import FLOATER
from splatseg.workflows.clustering import cluster


class CancelAt:
    """Keeps stages, and cancels where one begins."""

    def __init__(self, stage: str | None = None) -> None:
        self.stage, self.seen = stage, []

    def update(self, stage: str, done: int, total: int, details: object = None) -> None:
        self.seen.append((stage, done, total))
        if stage == self.stage:
            raise Canceled

    def note(self, text: str) -> None: ...


def test_ids_tables_and_pictures_are_written(scene_copy: Path) -> None:
    progress = CancelAt()
    found = cluster(scene_copy, progress=progress)
    assert progress.seen == [
        (stage, k, 8) for stage in ("clustering", "visibility") for k in range(1, 9)
    ]
    written = json.loads((scene_copy / "objects.json").read_text())
    assert written == {"objects": json.loads(json.dumps(found.objects))}
    labels = load_scene(scene_copy).labels
    assert labels is not None and len(found.objects) >= 3
    counts = torch.bincount(labels.clamp_min(0))
    assert [row["gaussians"] for row in found.objects] == counts[1:].tolist()
    assert found.floaters == int((labels == FLOATER).sum())
    assert found.unassigned + found.floaters == int(counts[0])
    thumbnails = {path.name for path in (scene_copy / "objects").iterdir()}
    assert thumbnails == {f"{row['id']}.png" for row in found.objects}
    assert all((scene_copy / name).is_file() for name in ("objects.png", "clusters.png"))
    shape = {"scene": str(scene_copy), "objects": found.objects}
    assert found.to_json() == shape | {
        "unassigned": found.unassigned,
        "floaters": found.floaters,
    }

    save_labels(scene_copy, torch.where(labels > 0, labels + 10, labels))
    again = cluster(scene_copy)
    assert [row["id"] for row in again.objects] == [row["id"] + 10 for row in found.objects]
    assert cluster(scene_copy, fresh_ids=True) == found


def test_finer_levels_have_parts(scene_copy: Path) -> None:
    """Balls that are one whole are three parts."""
    scene = load_scene(scene_copy)
    first = cluster(scene_copy)
    labels = load_scene(scene_copy).labels
    assert labels is not None
    balls = [row["id"] for row in first.objects if row["kind"] == "object"]
    features = scene.gaussians.features
    wholes = features.clone()
    inside = torch.isin(labels, torch.tensor(balls))
    wholes[inside] = features[labels == balls[0]].mean(dim=0)
    gaussians = replace(scene.gaussians, features=wholes)
    save_scene(scene_copy, replace(scene, gaussians=gaussians, levels={"part": features}))
    found = cluster(scene_copy)
    assert set(found.parts) == {"part"} and found.to_json()["part"] == found.parts["part"]
    ids = {row["id"] for row in found.objects}
    assert all(row["parent"] in ids for row in found.parts["part"])


@pytest.mark.parametrize("stage", ["clustering", "visibility"])
def test_canceled_it_writes_nothing(scene_copy: Path, stage: str) -> None:
    before = sorted(path.name for path in scene_copy.iterdir())
    with pytest.raises(KeyboardInterrupt):
        cluster(scene_copy, progress=CancelAt(stage))
    assert sorted(path.name for path in scene_copy.iterdir()) == before
