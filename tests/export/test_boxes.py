"""Boxes of the synthetic scene's balls, which are known."""

import json

import numpy as np
import pytest
import torch

from splatseg.export.boxes import boxes_around, boxes_of, write_boxes
from splatseg.segmentation.oriented_box import OUTSIDE

# A ball's centers lie evenly over its height: each side is its diameter less what is left out.
KEPT = 1 - 2 * OUTSIDE
TOLERANCE = 0.03  # of 160 centers, world units


def test_the_boxes_of_balls(true_scene, balls):
    gaussians, labels = true_scene
    rows = boxes_of(gaussians, labels, {1: "object", 2: "background"})
    assert [(row.id, row.kind) for row in rows] == [(1, "object"), (2, "background"), (3, None)]
    for row in rows:
        center, radius = balls[row.id]
        assert row.gaussians == int((labels == row.id).sum())
        for box in (row.axis_aligned, row.oriented):
            np.testing.assert_allclose(box.center, center, atol=TOLERANCE)
            np.testing.assert_allclose(box.size, 2 * radius * KEPT, atol=2 * TOLERANCE)
    assert boxes_of(gaussians, torch.where(labels == 1, -1, 0), {}) == []  # floaters have none


def test_the_file_says_what_its_numbers_mean(tmp_path, true_scene):
    row = boxes_around(true_scene[0].select(true_scene[1] == 1))
    write_boxes(tmp_path / "boxes.json", [row])
    content = json.loads((tmp_path / "boxes.json").read_text())
    assert content["schema"] == "splatseg.boxes/1"
    assert content["rotation"].startswith("w, x, y, z of world_from_box")
    assert "world units" in content["units"] and "world axes" in content["axes"]
    (box,) = content["boxes"]
    assert (box["id"], box["kind"], box["gaussians"]) == (None, None, row.gaussians)
    plain = row.axis_aligned
    assert box["axis_aligned"] == {"center": list(plain.center), "size": list(plain.size)}
    assert box["oriented"]["rotation"] == list(row.oriented.rotation)
    assert box["oriented"]["volume"] == pytest.approx(np.prod(box["oriented"]["size"]))
