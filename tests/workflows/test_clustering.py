"""Finding all objects of a scene folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders.progress import Recorder
from builders.two_squares import contents

from splatseg.scene import load_scene, save_labels, save_scene
from splatseg.segmentation.connected_components import FLOATER
from splatseg.workflows.clustering import cluster


def test_ids_tables_and_pictures_are_written(scene_copy: Path) -> None:
    progress = Recorder()
    found = cluster(scene_copy, progress=progress)
    stages = ("clustering", "visibility")
    assert progress.updates == [(stage, k, 8) for stage in stages for k in range(1, 9)]
    written = json.loads((scene_copy / "objects.json").read_text())
    assert written == {"objects": json.loads(json.dumps(found.objects))}
    labels = load_scene(scene_copy).labels
    counts = torch.bincount(labels.clamp_min(0))
    assert len(found.objects) >= 3
    assert [row["gaussians"] for row in found.objects] == counts[1:].tolist()
    assert found.floaters == int((labels == FLOATER).sum())
    assert found.unassigned + found.floaters == int(counts[0])
    thumbnails = {path.name for path in (scene_copy / "objects").iterdir()}
    assert thumbnails == {f"{row['id']}.png" for row in found.objects}
    assert all((scene_copy / name).is_file() for name in ("objects.png", "clusters.png"))

    save_labels(scene_copy, torch.where(labels > 0, labels + 10, labels))
    again = cluster(scene_copy)
    assert [row["id"] for row in again.objects] == [row["id"] + 10 for row in found.objects]
    assert cluster(scene_copy, fresh_ids=True) == found


def test_finer_levels_have_parts(scene_copy: Path) -> None:
    """Balls that are one whole are three parts."""
    scene, first = load_scene(scene_copy), cluster(scene_copy)
    labels, features = load_scene(scene_copy).labels, scene.gaussians.features
    balls = [row["id"] for row in first.objects if row["kind"] == "object"]
    wholes = features.clone()
    wholes[torch.isin(labels, torch.tensor(balls))] = features[labels == balls[0]].mean(dim=0)
    gaussians = replace(scene.gaussians, features=wholes)
    save_scene(scene_copy, replace(scene, gaussians=gaussians, levels={"part": features}))
    found = cluster(scene_copy)
    assert set(found.parts) == {"part"} and found.to_json()["part"] == found.parts["part"]
    ids = {row["id"] for row in found.objects}
    assert all(row["parent"] in ids for row in found.parts["part"])


@pytest.mark.parametrize("stage", ["clustering", "visibility"])
def test_canceled_it_writes_nothing(scene_copy: Path, stage: str) -> None:
    before = contents(scene_copy)
    with pytest.raises(KeyboardInterrupt):
        cluster(scene_copy, progress=Recorder(cancel_in=stage))
    assert contents(scene_copy) == before
