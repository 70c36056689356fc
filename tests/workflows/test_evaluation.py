"""Measuring a scene folder: what is written, and what may be given together."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders.progress import Recorder
from PIL import Image

from splatseg.progress import Canceled
from splatseg.scene import load_scene
from splatseg.workflows.evaluation import evaluate_scene
from splatseg.workflows.grounding import GroundingOptions


def test_the_report_the_metrics_and_a_picture_are_kept(scene_copy: Path, synthetic) -> None:
    progress = Recorder()
    result = evaluate_scene(scene_copy, synthetic.root, protocol="click3", progress=progress)
    assert result.file == scene_copy / "evaluation" / "click3.json"
    assert json.loads(result.file.read_text()) == result.report == result.to_json()
    assert result.headline == {name: result.report[name] for name in ("miou", "mbiou", "biou2")}
    assert load_scene(scene_copy).metrics["click3"] == result.headline
    assert result.pictures == {"worst": scene_copy / "evaluation" / "click3_worst.png"}
    with Image.open(result.pictures["worst"]) as picture:
        assert picture.width > 3 * 400
    assert progress.stages == ["scoring views"]


def test_prompts_with_masks_or_boxes(scene_copy: Path, capture_copy: Path, synthetic) -> None:
    mask = synthetic.truth["view_1"] == 1
    for folder in ("grounding", "truth/view_1"):
        (capture_copy / folder).mkdir(parents=True)
        Image.fromarray(mask).save(capture_copy / folder / "red ball.png")
    truth = {"protocol": "text", "truth": capture_copy / "truth"}
    by_mask = evaluate_scene(
        scene_copy, capture_copy, **truth, grounding=capture_copy / "grounding"
    )
    assert by_mask.pictures["grounding"].name == "text_grounding.png"
    assert by_mask.pictures["grounding"].is_file()

    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    boxes = {"view_1": [{"prompt": "red ball", "box": [int(edge) for edge in box]}]}
    (capture_copy / "boxes.json").write_text(json.dumps(boxes))
    finding = GroundingOptions(boxes=capture_copy / "boxes.json")
    by_box = evaluate_scene(scene_copy, capture_copy, **truth, finding=finding)
    assert by_box.report["grounded_by"] == "boxes.json"
    assert min(by_mask.report["miou"], by_box.report["miou"]) > 0.9


def test_canceled_nothing_is_written(scene_copy: Path, synthetic) -> None:
    with pytest.raises(Canceled):
        evaluate_scene(scene_copy, synthetic.root, progress=Recorder(cancel_in="scoring views"))
    assert not (scene_copy / "evaluation").exists()
    assert "nvs" not in load_scene(scene_copy).metrics
